//! Who is behind a listener: which reader a caller is, by its address, and by its token where readers have one.
//!
//! An address has either one reader without a token or any number with tokens; all readers of a listener speak TLS, or none
//! does.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use cardinal_domain::site::Token;
use tokio::sync::Notify;

use super::stream::Stream;
use crate::token::same;

/// How many connections of one terminal wait for its session: a terminal that makes one for each card, while it is paced.
pub(super) const MOST_WAITING: usize = 8;

/// Where a terminal's connections wait for its session. One on which nothing came is a corpse once a newer one waits; one
/// with something to read may hold a card, and is served in its turn.
#[derive(Default)]
pub(super) struct Slot {
    /// The oldest first.
    waiting: Mutex<VecDeque<Stream>>,
    came: Notify,
}

impl Slot {
    /// False: refused, because too many wait that have something to read.
    #[must_use]
    pub(super) fn put(&self, stream: Stream) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST_WAITING {
            waiting.retain_mut(Stream::has_something);
        }
        let has_place = waiting.len() < MOST_WAITING;
        if has_place {
            waiting.push_back(stream);
            self.came.notify_one();
        }
        has_place
    }

    fn oldest(&self) -> Option<Stream> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The connection to be served next: the oldest on which something came, or else the newest.
    pub(super) fn take(&self) -> Option<Stream> {
        let mut stream = self.oldest()?;
        while !stream.has_something()
            && let Some(newer) = self.oldest()
        {
            stream = newer;
        }
        Some(stream)
    }

    /// Waits until a connection waits here.
    pub(super) async fn called(&self) {
        while self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            self.came.notified().await;
        }
    }

    /// Gives back what was taken and not read: it is older than those that wait.
    pub(super) fn give_back(&self, stream: Stream) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_front(stream);
    }
}

/// The readers behind one listener.
pub(super) struct Routes {
    pub(super) tls: bool,
    behind: HashMap<IpAddr, Behind>,
}

enum Behind {
    One(Arc<Slot>),
    Many(Vec<(Token, Arc<Slot>)>),
}

/// What is known of a caller by its address alone.
pub(super) enum Caller {
    Nobody,
    Known(Arc<Slot>),
    /// Its first line says who it is.
    Unsaid,
}

/// Why a reader cannot be behind a listener.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Clash {
    /// The others speak TLS and it does not, or the other way round.
    Tls,
    /// The address belongs to another reader.
    Address,
    /// Another reader has the token.
    Token,
}

impl Routes {
    pub(super) fn new(tls: bool) -> Self {
        Self { tls, behind: HashMap::new() }
    }

    /// A place for one more reader.
    pub(super) fn join(&mut self, address: IpAddr, tls: bool, token: Option<&Token>) -> Result<Arc<Slot>, Clash> {
        if tls != self.tls {
            return Err(Clash::Tls);
        }
        let slot = Arc::<Slot>::default();
        match (self.behind.entry(address), token) {
            (Entry::Vacant(place), None) => drop(place.insert(Behind::One(Arc::clone(&slot)))),
            (Entry::Vacant(place), Some(token)) => {
                place.insert(Behind::Many(vec![(token.clone(), Arc::clone(&slot))]));
            }
            (Entry::Occupied(mut place), Some(token)) => match place.get_mut() {
                Behind::One(_) => return Err(Clash::Address),
                Behind::Many(many) if many.iter().any(|(other, _)| other == token) => return Err(Clash::Token),
                Behind::Many(many) => many.push((token.clone(), Arc::clone(&slot))),
            },
            (Entry::Occupied(_), None) => return Err(Clash::Address),
        }
        Ok(slot)
    }

    /// Gives a place up. True: nobody is left.
    pub(super) fn leave(&mut self, address: IpAddr, token: Option<&Token>) -> bool {
        if let Entry::Occupied(mut place) = self.behind.entry(address) {
            let is_empty = match place.get_mut() {
                Behind::One(_) => true,
                Behind::Many(many) => {
                    many.retain(|(other, _)| Some(other) != token);
                    many.is_empty()
                }
            };
            if is_empty {
                place.remove();
            }
        }
        self.behind.is_empty()
    }

    /// Who calls from this address.
    pub(super) fn caller(&self, address: IpAddr) -> Caller {
        match self.behind.get(&address) {
            None => Caller::Nobody,
            Some(Behind::One(slot)) => Caller::Known(Arc::clone(slot)),
            Some(Behind::Many(_)) => Caller::Unsaid,
        }
    }

    /// Whose token this line is. Every token of the address is compared, each in constant time.
    pub(super) fn by_token(&self, address: IpAddr, line: &[u8]) -> Option<Arc<Slot>> {
        let Some(Behind::Many(many)) = self.behind.get(&address) else { return None };
        let matching = |found: Option<Arc<Slot>>, (token, slot): &(Token, Arc<Slot>)| {
            if same(line, token.reveal().as_bytes()) { Some(Arc::clone(slot)) } else { found }
        };
        many.iter().fold(None, matching)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::AsyncWriteExt as _,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    fn token(text: &str) -> Token {
        text.to_owned().try_into().unwrap()
    }

    #[tokio::test]
    async fn no_card_that_came_is_lost_while_a_newer_connection_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let call = async |says: &str| {
            let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let near = listener.accept().await.unwrap().0;
            far.write_all(says.as_bytes()).await.unwrap();
            // Gone at once: a connection a card.
            drop(far);
            near.readable().await.unwrap();
            Stream::from(near)
        };
        let said = |mut stream: Stream| {
            let mut buffer = [0; 8];
            let length = stream.read_now(&mut buffer).unwrap_or_default();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        let slot = Slot::default();
        for says in ["", "1\n", "", "2\n", "3\n", ""] {
            assert!(slot.put(call(says).await));
        }
        slot.called().await;
        assert_eq!(said(slot.take().unwrap()), "1\n");
        let unread = slot.take().unwrap();
        slot.give_back(unread);
        assert_eq!([said(slot.take().unwrap()), said(slot.take().unwrap())], ["2\n", "3\n"]);
        assert_eq!(said(slot.take().unwrap()), "", "the newest is served, whatever came on it");
        assert!(slot.take().is_none());

        // Corpses make room, cards do not.
        for _ in 0..MOST_WAITING {
            assert!(slot.put(call("").await));
        }
        for number in 0..MOST_WAITING {
            assert!(slot.put(call(&format!("{number}\n")).await));
        }
        assert!(!slot.put(call("8\n").await));
        for number in 0..MOST_WAITING {
            assert_eq!(said(slot.take().unwrap()), format!("{number}\n"));
        }
        assert!(slot.take().is_none());
    }

    #[test]
    fn an_address_has_one_reader_without_a_token_or_many_with_tokens() {
        let (home, away) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let (first, second) = (token("first-token"), token("second-token"));
        let mut routes = Routes::new(false);
        let clash = |joined: Result<Arc<Slot>, Clash>| joined.err();
        assert_eq!(clash(routes.join(home, true, None)), Some(Clash::Tls));
        routes.join(home, false, None).unwrap();
        assert_eq!(clash(routes.join(home, false, None)), Some(Clash::Address));
        assert_eq!(clash(routes.join(home, false, Some(&first))), Some(Clash::Address));
        let one = routes.join(away, false, Some(&first)).unwrap();
        let two = routes.join(away, false, Some(&second)).unwrap();
        assert_eq!(clash(routes.join(away, false, Some(&first))), Some(Clash::Token));
        assert_eq!(clash(routes.join(away, false, None)), Some(Clash::Address));

        assert!(matches!(routes.caller(home), Caller::Known(_)));
        assert!(matches!(routes.caller(away), Caller::Unsaid));
        assert!(matches!(routes.caller([10, 0, 0, 3].into()), Caller::Nobody));
        assert!(Arc::ptr_eq(&routes.by_token(away, b"first-token").unwrap(), &one));
        assert!(Arc::ptr_eq(&routes.by_token(away, b"second-token").unwrap(), &two));
        for wrong in ["", "first-toke", "first-token2", "First-token"] {
            assert!(routes.by_token(away, wrong.as_bytes()).is_none());
        }
        assert!(routes.by_token(home, b"first-token").is_none(), "a token is good at its own address alone");

        assert!(!routes.leave(away, Some(&first)));
        assert!(routes.by_token(away, b"first-token").is_none());
        assert!(!routes.leave(home, None));
        assert!(routes.leave(away, Some(&second)));
        assert!(matches!(routes.caller(away), Caller::Nobody));
    }
}
