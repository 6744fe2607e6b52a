//! Ways in which a reader's web pages misbehave on purpose.

use std::str::FromStr;

use axum::{
    body::{Body, Bytes},
    http::{StatusCode, header::LOCATION},
    response::{Html, IntoResponse as _, Response},
};
use futures_util::stream;

/// What every request is answered with, whatever it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A page that asks for a password.
    LoginPage,
    /// This status.
    Status(u16),
    /// A body that never ends.
    Endless,
    /// The way to this address.
    Redirect(String),
    /// Nothing, while the connection stays.
    Silent,
}

impl FromStr for Trouble {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(' ').unwrap_or((text, "")) {
            ("login-page", "") => Ok(Self::LoginPage),
            ("endless", "") => Ok(Self::Endless),
            ("silent", "") => Ok(Self::Silent),
            ("status", status) => {
                let status = status.parse().ok().filter(|status| (200..=599).contains(status));
                status
                    .map(Self::Status)
                    .ok_or_else(|| "`status` is followed by a status of HTTP, 200 to 599".to_owned())
            }
            ("redirect", url) if !url.is_empty() => Ok(Self::Redirect(url.to_owned())),
            _ => Err(format!(
                "there is no trouble {text:?}; there are: login-page, status NUMBER, endless, redirect URL, silent"
            )),
        }
    }
}

impl Trouble {
    /// The answer; it may never come.
    pub(super) async fn answer(&self) -> Response {
        match self {
            Self::LoginPage => {
                Html("<html><form method=post><input name=user><input type=\"password\" name=pw></form></html>")
                    .into_response()
            }
            Self::Status(status) => {
                StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response()
            }
            Self::Endless => {
                let piece = Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 8 * 1024]));
                Body::from_stream(stream::repeat(piece)).into_response()
            }
            Self::Redirect(url) => (StatusCode::FOUND, [(LOCATION, url.clone())]).into_response(),
            Self::Silent => std::future::pending().await,
        }
    }
}
