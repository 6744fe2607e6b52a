//! Sites for tests, as text: what a test does not say is the same everywhere.

use std::net::SocketAddr;

/// What each verdict sends to a terminal, so that a test can tell them apart. None of it is a command of terminals.
pub const SIGNS: &str = "keepalive_seconds = 0
on_released = '[released]'
on_nothing_held = '[nothing]'
on_unknown_card = '[unknown]'
on_failed = '[failed]'
";

/// Ada with two cards, the printer `east` at this address, the hold queue `find-me`, and the device `floor-2-east`.
pub fn site(printer: &str) -> String {
    format!(
        r#"
        [[user]]
        name = "ada"
        full_name = "Ada Lovelace"
        card = "4711"
        second_card = "EMP123"
        [[printer]]
        name = "east"
        uri = "{printer}"
        [[queue]]
        name = "find-me"
        [[device]]
        name = "floor-2-east"
        printer = "east"
        "#
    )
}

/// The same with a folder as the printer: `delivered` in the host's folder.
pub fn folder_site() -> String {
    site("folder:./delivered")
}

/// A reader of Generic mode that is dialled, with these settings. It retries quickly, so that tests do not wait.
pub fn reader(name: &str, address: SocketAddr, settings: &str) -> String {
    of_driver("cardinal/generic", "generic", name, address, settings)
}

/// A reader of Generic mode at this device.
pub fn reader_at(name: &str, device: &str, address: SocketAddr, settings: &str) -> String {
    reader(name, address, settings).replace("device = \"floor-2-east\"", &format!("device = {device:?}"))
}

/// The same of any driver.
pub fn of_driver(driver: &str, mode: &str, name: &str, address: SocketAddr, settings: &str) -> String {
    format!(
        r#"
        [[reader]]
        name = "{name}"
        driver = "{driver}"
        mode = "{mode}"
        address = "{address}"
        device = "floor-2-east"
        [reader.link]
        retry_first_ms = 20
        retry_longest_ms = 100
        [reader.settings]
        {settings}
        "#
    )
}
