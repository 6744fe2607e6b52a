//! An LDAP server of a few entries, with faults on demand: what Samba and OpenLDAP do not do when they are asked to. It reads
//! and writes with `ldap3_proto`, so that our own encoding is not judged by itself.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::BytesMut;
use ldap3_proto::{
    LdapCodec, LdapFilter, LdapMsg, LdapPartialAttribute, LdapResultCode, LdapSearchResultEntry,
    control::LdapControl,
    proto::{
        LdapBindCred, LdapBindResponse, LdapExtendedResponse, LdapOp, LdapResult, LdapSearchRequest,
        LdapSearchResultReference, LdapSearchScope,
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::{Decoder as _, Encoder as _};

/// What goes wrong, and on which page of all that are given out, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ends before anything of the page.
    CutBefore,
    /// After half of its entries.
    CutBetween,
    /// In the middle of an entry.
    CutInside,
    /// After its entries, before the word that it is over.
    CutBeforeTheEnd,
    /// The page ends with this result code, after its entries.
    Code(i64),
    /// The page ends without word of whether there are more.
    NoWord,
    /// From this page on the same page comes again and again.
    Again,
    /// From this page on pages are empty, and there is always one more.
    Empty,
    /// Nothing comes any more, and the connection stays.
    Silence,
    /// The entries come, and the end never does.
    NoEnd,
    /// Bytes that are not LDAP: what a web server says there.
    Garbage,
    /// A message in which nothing stands but its number.
    Hollow,
    /// An entry without fields, not even none.
    Stump,
    /// A message that claims to be larger than anybody's memory, and never comes.
    Huge,
    /// Words of leave-taking, and the end (RFC 4511, 4.4.1).
    Leave,
}

/// What the server has and does.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) entries: Vec<LdapSearchResultEntry>,
    /// The most entries a page, whatever is asked for.
    pub(crate) page: usize,
    /// The most values of an attribute at a time.
    pub(crate) range: usize,
    /// Referrals along with each page.
    pub(crate) referrals: usize,
    pub(crate) fault: Option<(usize, Fault)>,
    /// The same of searches that are answered in one piece, counted by themselves.
    pub(crate) fault_unpaged: Option<(usize, Fault)>,
    /// What a sign-in is answered.
    pub(crate) bind: (i64, &'static str),
    /// A sign-in is answered with a message in which no outcome stands.
    pub(crate) hollow: bool,
    /// TLS from the first byte, or when it is asked for.
    pub(crate) tls: Option<TlsAcceptor>,
    /// TLS only when it is asked for.
    pub(crate) starttls: bool,
    /// Bytes sent along with the agreement to TLS.
    pub(crate) injected: bool,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            page: 1_000,
            range: 1_500,
            referrals: 0,
            fault: None,
            fault_unpaged: None,
            bind: (0, ""),
            hollow: false,
            tls: None,
            starttls: false,
            injected: false,
        }
    }
}

/// A running one. Dropped, it ends.
pub(crate) struct Running {
    pub(crate) address: String,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) pages: Arc<AtomicUsize>,
    pub(crate) unpaged: Arc<AtomicUsize>,
    pub(crate) seen: Arc<std::sync::Mutex<Vec<(String, String)>>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An entry.
pub(crate) fn entry(dn: &str, fields: &[(&str, &[&[u8]])]) -> LdapSearchResultEntry {
    let attribute = |(name, values): &(&str, &[&[u8]])| LdapPartialAttribute {
        atype: (*name).to_owned(),
        vals: values.iter().map(|value| value.to_vec()).collect(),
    };
    LdapSearchResultEntry { dn: dn.to_owned(), attributes: fields.iter().map(attribute).collect() }
}

impl Fake {
    pub(crate) async fn start(self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (connections, pages, unpaged): (Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let seen: Arc<std::sync::Mutex<_>> = Arc::default();
        let (counted, noted) = (Arc::clone(&connections), Arc::clone(&seen));
        let searches = [Arc::clone(&pages), Arc::clone(&unpaged)];
        let task = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let (fake, searches, seen) = (self.clone(), searches.clone(), Arc::clone(&noted));
                served.spawn(async move {
                    match &fake.tls {
                        Some(tls) if !fake.starttls => {
                            if let Ok(stream) = tls.clone().accept(stream).await {
                                Serving { fake: &fake, searches, seen, stream, buffer: BytesMut::new() }.run().await;
                            }
                        }
                        _ => {
                            let mut serving = Serving { fake: &fake, searches, seen, stream, buffer: BytesMut::new() };
                            // It comes back where TLS is asked for.
                            if serving.run().await
                                && let Some(tls) = &fake.tls
                                && let Ok(stream) = tls.clone().accept(serving.stream).await
                            {
                                let (searches, seen) = (serving.searches, serving.seen);
                                Serving { fake: &fake, searches, seen, stream, buffer: BytesMut::new() }.run().await;
                            }
                        }
                    }
                });
            }
        });
        Running { address, connections, pages, unpaged, seen, task }
    }
}

struct Serving<'a, S> {
    fake: &'a Fake,
    /// How many pages were asked for, and how many answers in one piece.
    searches: [Arc<AtomicUsize>; 2],
    seen: Arc<std::sync::Mutex<Vec<(String, String)>>>,
    stream: S,
    buffer: BytesMut,
}

fn result(code: i64, message: &str) -> LdapResult {
    LdapResult {
        code: LdapResultCode::try_from(code).unwrap(),
        matcheddn: String::new(),
        message: message.to_owned(),
        referral: if code == 10 { vec!["ldap://elsewhere/".to_owned()] } else { Vec::new() },
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Serving<'_, S> {
    /// True: TLS comes next.
    async fn run(&mut self) -> bool {
        let mut codec = LdapCodec::new(Some(1 << 20), None);
        loop {
            let message = match codec.decode(&mut self.buffer) {
                Ok(Some(message)) => message,
                Ok(None) => match self.stream.read_buf(&mut self.buffer).await {
                    Ok(1..) => continue,
                    _ => return false,
                },
                Err(_) => return false,
            };
            let id = message.msgid;
            match message.op {
                LdapOp::BindRequest(bind) => {
                    let LdapBindCred::Simple(password) = bind.cred else { return false };
                    self.seen.lock().unwrap().push((bind.dn, password));
                    if self.fake.hollow {
                        let _ = self.stream.write_all(&[0x30, 5, 2, 1, u8::try_from(id).unwrap(), 0x61, 0]).await;
                        continue;
                    }
                    let res = result(self.fake.bind.0, self.fake.bind.1);
                    self.send(id, LdapOp::BindResponse(LdapBindResponse { res, saslcreds: None }), vec![]).await;
                }
                LdapOp::ExtendedRequest(_) => {
                    let agreed = self.fake.tls.is_some();
                    let res = result(if agreed { 0 } else { 2 }, "");
                    let answer = LdapExtendedResponse { res, name: None, value: None };
                    self.send(id, LdapOp::ExtendedResponse(answer), vec![]).await;
                    if self.fake.injected {
                        let res = result(0, "");
                        self.send(2, LdapOp::BindResponse(LdapBindResponse { res, saslcreds: None }), vec![]).await;
                    }
                    if agreed {
                        return true;
                    }
                }
                LdapOp::SearchRequest(search) => {
                    if !self.search(id, &search, &message.ctrl).await {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    }

    async fn send(&mut self, id: i32, op: LdapOp, ctrl: Vec<LdapControl>) {
        let bytes = encoded(id, op, ctrl);
        let _ = self.stream.write_all(&bytes).await;
    }

    /// False: the connection ends.
    async fn search(&mut self, id: i32, search: &LdapSearchRequest, controls: &[LdapControl]) -> bool {
        let found: Vec<_> = self.fake.entries.iter().filter(|entry| is_meant(entry, search)).collect();
        let paged = controls.iter().find_map(|control| match control {
            LdapControl::SimplePagedResults { size, cookie } => Some((*size, cookie.clone())),
            _ => None,
        });
        let is_paged = paged.is_some();
        let (size, cookie) = paged.unwrap_or_else(|| (i64::from(u16::MAX), Vec::new()));
        let [pages, unpaged] = &self.searches;
        let (counter, fault) = if is_paged { (pages, self.fake.fault) } else { (unpaged, self.fake.fault_unpaged) };
        let page = counter.fetch_add(1, Ordering::SeqCst) + 1;
        let fault = fault.and_then(|(on, fault)| match fault {
            Fault::Again | Fault::Empty => (page >= on).then_some(fault),
            _ => (page == on).then_some(fault),
        });
        let begin: usize = String::from_utf8(cookie).unwrap().parse().unwrap_or(0);
        let size = usize::try_from(size).unwrap().min(if is_paged { self.fake.page } else { usize::MAX }).max(1);
        let entries: Vec<_> = found.iter().skip(begin).take(size).map(|entry| self.shown(entry, search)).collect();
        let next = begin + entries.len();
        match fault {
            Some(Fault::CutBefore) => return false,
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::Garbage) => {
                let page = "<html><head><title>400 Bad Request</title></head><body>Bad Request</body></html>";
                let answer = format!("HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n{page}");
                let _ = self.stream.write_all(answer.as_bytes()).await;
                return false;
            }
            Some(Fault::Hollow) => {
                let _ = self.stream.write_all(&[0x30, 3, 2, 1, u8::try_from(id).unwrap()]).await;
                std::future::pending().await
            }
            Some(Fault::Stump) => {
                let _ = self.stream.write_all(&[0x30, 8, 2, 1, u8::try_from(id).unwrap(), 0x64, 3, 4, 1, b'x']).await;
                std::future::pending().await
            }
            Some(Fault::Huge) => {
                let _ = self.stream.write_all(&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]).await;
                std::future::pending().await
            }
            Some(Fault::Leave) => {
                let answer = LdapExtendedResponse { res: result(52, "going down"), name: None, value: None };
                self.send(0, LdapOp::ExtendedResponse(answer), vec![]).await;
                return false;
            }
            _ => {}
        }
        let half = entries.len() / 2;
        for (number, entry) in entries.into_iter().enumerate() {
            match fault {
                Some(Fault::Empty) => break,
                Some(Fault::CutBetween) if number == half => return false,
                Some(Fault::CutInside) if number == half => {
                    let bytes = encoded(id, LdapOp::SearchResultEntry(entry), vec![]);
                    let _ = self.stream.write_all(&bytes[..bytes.len() / 2]).await;
                    return false;
                }
                _ => self.send(id, LdapOp::SearchResultEntry(entry), vec![]).await,
            }
        }
        for number in 0..if is_paged { self.fake.referrals } else { 0 } {
            let reference = LdapSearchResultReference { uris: vec![format!("ldap://other{number}/dc=x")] };
            self.send(id, LdapOp::SearchResultReference(reference), vec![]).await;
        }
        let cookie = match fault {
            Some(Fault::Again) => begin.to_string().into_bytes(),
            Some(Fault::Empty) => page.to_string().into_bytes(),
            _ if next < found.len() => next.to_string().into_bytes(),
            _ => Vec::new(),
        };
        let (code, controls) = match fault {
            Some(Fault::CutBeforeTheEnd) => return false,
            Some(Fault::NoEnd) => std::future::pending().await,
            Some(Fault::Code(code)) => (code, vec![LdapControl::SimplePagedResults { size: 0, cookie: Vec::new() }]),
            Some(Fault::NoWord) => (0, vec![]),
            _ if !is_paged => (if found.is_empty() { 32 } else { 0 }, vec![]),
            _ => (0, vec![LdapControl::SimplePagedResults { size: 0, cookie }]),
        };
        self.send(id, LdapOp::SearchResultDone(result(code, "")), controls).await;
        true
    }

    /// An entry with the fields that are asked for, and no more values at a time than the server gives.
    fn shown(&self, entry: &LdapSearchResultEntry, search: &LdapSearchRequest) -> LdapSearchResultEntry {
        let mut shown = LdapSearchResultEntry { dn: entry.dn.clone(), attributes: Vec::new() };
        for asked in &search.attrs {
            let (name, from) = match asked.split_once(";range=") {
                Some((name, range)) => (name, range.split_once('-').unwrap().0.parse().unwrap()),
                None => (asked.as_str(), 0),
            };
            let Some(field) = entry.attributes.iter().find(|field| field.atype.eq_ignore_ascii_case(name)) else {
                continue;
            };
            let values: Vec<_> = field.vals.iter().skip(from).take(self.fake.range).cloned().collect();
            let end = from + values.len();
            let last = if end >= field.vals.len() { "*".to_owned() } else { (end - 1).to_string() };
            let atype =
                if from == 0 && last == "*" { field.atype.clone() } else { format!("{name};range={from}-{last}") };
            if from == 0 && last != "*" {
                // So does Active Directory: the plain name, empty.
                shown.attributes.push(LdapPartialAttribute { atype: field.atype.clone(), vals: Vec::new() });
            }
            shown.attributes.push(LdapPartialAttribute { atype, vals: values });
        }
        shown
    }
}

fn encoded(id: i32, op: LdapOp, ctrl: Vec<LdapControl>) -> BytesMut {
    let mut bytes = BytesMut::new();
    LdapCodec::default().encode(LdapMsg { msgid: id, op, ctrl }, &mut bytes).unwrap();
    bytes
}

fn is_meant(entry: &LdapSearchResultEntry, search: &LdapSearchRequest) -> bool {
    let (dn, base) = (entry.dn.to_lowercase(), search.base.to_lowercase());
    let in_scope = match search.scope {
        LdapSearchScope::Base => dn == base,
        _ => !dn.is_empty() && (dn == base || base.is_empty() || dn.ends_with(&format!(",{base}"))),
    };
    let at_the_root = matches!(&search.filter, LdapFilter::Present(field) if field == "objectClass");
    in_scope && (at_the_root || fits(entry, &search.filter))
}

fn fits(entry: &LdapSearchResultEntry, filter: &LdapFilter) -> bool {
    let values = |name: &str| -> Vec<String> {
        let field = entry.attributes.iter().find(|field| field.atype.eq_ignore_ascii_case(name));
        field
            .map(|field| field.vals.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect())
            .unwrap_or_default()
    };
    let number = |text: &String| text.parse::<u64>().unwrap_or(0);
    match filter {
        LdapFilter::And(all) => all.iter().all(|filter| fits(entry, filter)),
        LdapFilter::Or(any) => any.iter().any(|filter| fits(entry, filter)),
        LdapFilter::Not(inner) => !fits(entry, inner),
        LdapFilter::Present(name) => !values(name).is_empty(),
        LdapFilter::Equality(name, value) => values(name).iter().any(|own| own.eq_ignore_ascii_case(value)),
        LdapFilter::GreaterOrEqual(name, value) => values(name).iter().any(|own| number(own) >= number(value)),
        LdapFilter::Extensible(rule) => {
            let bits = number(&rule.match_value);
            values(rule.type_.as_deref().unwrap_or_default()).iter().any(|own| number(own) & bits == bits)
        }
        _ => false,
    }
}
