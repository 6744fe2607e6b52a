//! What a queue shows over plain HTTP: a page for people, and the icons that clients show in their lists.
//!
//! Both are the same for every queue and tell nothing of any, so nobody is asked who they are.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

/// `printer-icons`: PNG, by width and height in pixels; the sizes are those of PWG 5100.13 §5.6.12.
pub(crate) const ICONS: [(&str, &[u8]); 3] = [
    ("48.png", include_bytes!("icons/48.png")),
    ("128.png", include_bytes!("icons/128.png")),
    ("512.png", include_bytes!("icons/512.png")),
];

/// For people who follow `printer-more-info`.
pub(crate) async fn page() -> &'static str {
    "This is a Cardinal print queue. Add it as an IPP printer with the address of this page, beginning with ipp:// \
     (or with ipps://, where that of this page begins with https://).\n"
}

/// For clients that follow `printer-icons`.
pub(crate) async fn icon(Path((_, size)): Path<(String, String)>) -> Response {
    match ICONS.iter().find(|(name, _)| *name == size) {
        Some((_, png)) => ([(header::CONTENT_TYPE, "image/png")], *png).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such icon\n").into_response(),
    }
}
