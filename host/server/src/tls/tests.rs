use std::{fs, os::unix::fs::PermissionsExt as _};

use cardinal_domain::{event::Level, time::Timestamp};

use super::*;

fn host() -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { folder: folder.path().to_owned(), ..Config::default() };
    (folder, config)
}

#[test]
fn a_host_makes_its_certificate_once_for_this_machines_names_and_keeps_the_key_to_itself() {
    let (_folder, config) = host();
    let (tls, about) = Tls::open(&config).unwrap();
    for name in ["localhost", "127.0.0.1", "::1"] {
        assert!(about.names.iter().any(|known| known == name), "{about}");
    }
    let rights = fs::metadata(&tls.files.key).unwrap().permissions().mode() & 0o777;
    assert_eq!(rights, 0o600);
    let (_, again) = Tls::open(&config).unwrap();
    assert_eq!(again, about, "made once");
    assert_eq!(about.fingerprint.len(), 32 * 3 - 1);
}

#[test]
fn the_names_can_be_chosen() {
    let (_folder, mut config) = host();
    config.tls.names = vec!["print.example.org".to_owned(), "10.1.2.3".to_owned()];
    let (_, about) = Tls::open(&config).unwrap();
    assert_eq!((about.subject.as_str(), about.names.len()), ("CN=print.example.org", 2));
    config.tls.names = vec!["drücker".to_owned()];
    assert!(Files::of(&config).unwrap().make(&config).unwrap_err().to_string().contains("tls.names"));
}

#[test]
fn its_end_is_warned_about_in_time() {
    let (_folder, config) = host();
    let (_, about) = Tls::open(&config).unwrap();
    let day = 24 * 3_600_000;
    let level = |left: i64| about.warning(Timestamp(about.not_after.0 - left)).map(|(level, _)| level);
    assert_eq!(level(31 * day), None);
    assert_eq!(level(29 * day), Some(Level::Warning));
    assert_eq!(level(-day), Some(Level::Error));
}

#[test]
fn files_that_cannot_be_used_are_refused_in_words_and_the_one_before_is_kept() {
    let (_folder, config) = host();
    let (tls, about) = Tls::open(&config).unwrap();
    let shown = |tls: &Tls| tls.current.0.read().unwrap().end_entity_cert().unwrap().as_ref().to_vec();
    let before = shown(&tls);
    let key = fs::read(&tls.files.key).unwrap();
    let error = |tls: &Tls| format!("{:#}", tls.reload().unwrap_err());

    // A key of another certificate.
    tls.files.make(&config).unwrap();
    let other = fs::read(&tls.files.key).unwrap();
    let certificate = fs::read(&tls.files.certificate).unwrap();
    fs::write(&tls.files.key, &key).unwrap();
    assert!(error(&tls).contains("cannot be used together"), "{}", error(&tls));
    fs::write(&tls.files.key, "no key").unwrap();
    assert!(error(&tls).contains("holds no private key"), "{}", error(&tls));
    fs::write(&tls.files.key, &other).unwrap();
    fs::write(&tls.files.certificate, "no certificate").unwrap();
    assert!(error(&tls).contains("holds no certificate"), "{}", error(&tls));
    fs::write(&tls.files.certificate, &certificate).unwrap();
    fs::set_permissions(&tls.files.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(error(&tls).contains("everybody may read the key"), "{}", error(&tls));
    assert_eq!(shown(&tls), before);

    let stamp = tls.files.stamp();
    fs::set_permissions(&tls.files.key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_ne!(tls.files.stamp(), stamp, "a change of rights is seen");
    assert_ne!(tls.reload().unwrap().fingerprint, about.fingerprint);
    assert_ne!(shown(&tls), before);
}

#[test]
fn half_a_certificate_is_never_made_whole_in_passing() {
    let (_folder, config) = host();
    let (tls, about) = Tls::open(&config).unwrap();
    for missing in [&tls.files.key, &tls.files.certificate] {
        let text = fs::read(missing).unwrap();
        fs::remove_file(missing).unwrap();
        let error = Tls::open(&config).map(drop).unwrap_err().to_string();
        assert!(error.contains("`cardinal tls renew`") && !missing.exists(), "{error}");
        fs::write(missing, text).unwrap();
        fs::set_permissions(missing, fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(Tls::open(&config).unwrap().1, about);
    fs::remove_file(&tls.files.key).unwrap();
    tls.files.make(&config).unwrap();
    assert_ne!(Tls::open(&config).unwrap().1, about);
}

#[test]
fn one_file_without_the_other_is_a_mistake() {
    let (_folder, mut config) = host();
    config.tls.key = "key.pem".into();
    assert!(Files::of(&config).unwrap_err().to_string().contains("belong together"));
}
