//! What the API answers when something is wrong: a status that says whose move it is, and words that say what to do.

use axum::{
    Json,
    http::{StatusCode, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
};
use cardinal_release::ReleaseError;
use cardinal_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::{drivers::DriverError, recorder::RecorderError, sessions::CommandError};

/// An answer that is no success.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

/// Its body.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What to do, in words.
    pub error: String,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "show the owner's token: Authorization: Bearer TOKEN")
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Our own fault.
    pub fn ours(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// A request that cannot be read; the status is axum's.
    pub fn unreadable(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, message)
    }

    /// The request is understood and cannot be done as it is.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// It cannot be done now.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(ErrorBody { error: self.message });
        if self.status == StatusCode::UNAUTHORIZED {
            return (self.status, [(WWW_AUTHENTICATE, "Bearer")], body).into_response();
        }
        (self.status, body).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if let StoreError::QueueInUse { .. } = error {
            return Self::conflict(error.to_string());
        }
        tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
        if let StoreError::Away { .. } | StoreError::Taken { .. } | StoreError::Closed { .. } = error {
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        }
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}; the host's log says more"))
    }
}

impl From<ReleaseError> for ApiError {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Store(error) => error.into(),
            ReleaseError::NoSuchJob { .. } | ReleaseError::NoSuchPrinter { .. } => Self::not_found(error.to_string()),
            ReleaseError::Refused(_) | ReleaseError::NoCertificate { .. } => Self::conflict(error.to_string()),
            ReleaseError::NoTls { .. } => Self::refused(error.to_string()),
            other => {
                tracing::error!(error = &other as &dyn std::error::Error, "the release engine failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{other}; the host's log says more"))
            }
        }
    }
}

impl From<DriverError> for ApiError {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Store(error) => error.into(),
            DriverError::Refused(_) => Self::refused(error.to_string()),
            DriverError::Unknown(_) | DriverError::NoPublisher { .. } => Self::not_found(error.to_string()),
            DriverError::InUse { .. } => Self::conflict(error.to_string()),
            DriverError::Keep { .. } => Self::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string()),
        }
    }
}

impl From<RecorderError> for ApiError {
    fn from(error: RecorderError) -> Self {
        match error {
            RecorderError::Store(error) => error.into(),
            RecorderError::Refused(_) => Self::refused(error.to_string()),
            RecorderError::NotNow(_) => Self::conflict(error.to_string()),
            RecorderError::Unknown(_) => Self::not_found(error.to_string()),
            RecorderError::Disk { .. } => Self::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string()),
        }
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NoReader(_) => Self::not_found(error.to_string()),
            CommandError::NotConnected(_) => Self::conflict(error.to_string()),
            CommandError::Unknown { .. } => Self::refused(error.to_string()),
        }
    }
}
