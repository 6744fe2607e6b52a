//! Drivers, their versions and their publishers.

use cardinal_domain::{driver::Manifest, time::Timestamp};
use cardinal_store::{InstalledDriver, Origin, Publisher, Store};

use crate::peer::Peer;

on_both! {
    a_driver_has_versions_one_of_them_chosen_and_its_highest_is_remembered
    a_publisher_is_kept_also_when_it_is_withdrawn
}

fn driver(version: &str, digest: &str, origin: Origin) -> InstalledDriver {
    let manifest = Manifest {
        vendor: "acme".into(),
        name: "line".into(),
        version: version.into(),
        summary: String::new(),
        modes: Vec::new(),
    };
    InstalledDriver { digest: digest.into(), manifest, installed: Timestamp(1), origin }
}

async fn a_driver_has_versions_one_of_them_chosen_and_its_highest_is_remembered(peer: &Peer) {
    let store = peer.open().await;
    let (old, new) = (driver("1.0.0", "aa", Origin::Bundled), driver("1.1.0", "bb", Origin::Installed));
    store.put_driver(&old, "1.0.0", None, Vec::new()).await.unwrap();
    assert!(store.driver_choices().await.unwrap().is_empty());
    store.put_driver(&new, "1.1.0", Some("1.0.0"), Vec::new()).await.unwrap();
    assert_eq!(store.drivers().await.unwrap(), [old.clone(), new.clone()]);
    assert_eq!(store.driver_choices().await.unwrap()["acme/line"], "1.0.0");
    store.choose_driver("acme/line", "1.1.0", Vec::new()).await.unwrap();
    assert_eq!(store.driver_choices().await.unwrap()["acme/line"], "1.1.0");
    // With the version goes the choice of it, and not what was ever there.
    store.remove_driver(&new, Vec::new()).await.unwrap();
    assert!(store.driver_choices().await.unwrap().is_empty());
    store.put_driver(&driver("1.0.0", "cc", Origin::Installed), "1.1.0", None, Vec::new()).await.unwrap();
    let digests = |store: Store| async move {
        store.drivers().await.unwrap().into_iter().map(|driver| driver.digest).collect::<Vec<_>>()
    };
    assert_eq!(digests(store.clone()).await, ["cc"], "the same version takes the place of the one before");
    assert_eq!(store.highest_drivers().await.unwrap()["acme/line"], "1.1.0");
}

async fn a_publisher_is_kept_also_when_it_is_withdrawn(peer: &Peer) {
    let store = peer.open().await;
    let first = Publisher {
        vendor: "acme".into(),
        key_id: "00".into(),
        public_key: "RWQ".into(),
        trusted: Timestamp(1),
        withdrawn: None,
    };
    let second = Publisher { key_id: "01".into(), trusted: Timestamp(2), ..first.clone() };
    for publisher in [&second, &first] {
        store.put_publisher(publisher, Vec::new()).await.unwrap();
    }
    assert_eq!(store.publishers().await.unwrap(), [first.clone(), second.clone()]);
    let first = Publisher { withdrawn: Some(Timestamp(3)), ..first };
    store.put_publisher(&first, Vec::new()).await.unwrap();
    assert_eq!(store.publishers().await.unwrap(), [first, second]);
}
