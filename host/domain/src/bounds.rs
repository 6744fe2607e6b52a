//! Bounds as data: a table of numbers, each with its name, default, unit and reason.
//!
//! The table makes the struct, so that configuration, the commented `cardinal.toml` and error messages cannot disagree
//! about a bound. Whoever enforces a bound says so when it is crossed, with the name from the table.

/// One row of the table of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundInfo {
    /// Its key in configuration, and its name in errors and events.
    pub name: &'static str,
    /// What holds where nothing is configured.
    pub default: u64,
    /// What the number counts.
    pub unit: &'static str,
    /// Why there is such a bound and why it has this default.
    pub reason: &'static str,
}

/// Makes a struct of bounds and the table behind it, both from one list of `name = default, unit, reason;`.
#[macro_export]
macro_rules! bounds_table {
    (
        $(#[$about:meta])* $name:ident, $(#[$table_about:meta])* $table:ident:
        $($bound:ident = $default:expr, $unit:literal, $reason:literal;)*
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(#[doc = $reason] pub $bound: u64,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($bound: $default,)* }
            }
        }

        $(#[$table_about])*
        pub const $table: &[$crate::bounds::BoundInfo] = &[
            $($crate::bounds::BoundInfo { name: stringify!($bound), default: $default, unit: $unit, reason: $reason },)*
        ];

        impl $name {
            /// The value of the bound of this name.
            pub fn get(&self, name: &str) -> Option<u64> {
                match name {
                    $(stringify!($bound) => Some(self.$bound),)*
                    _ => None,
                }
            }

            /// The bound of this name, to be set; for overrides that arrive as a table.
            pub fn get_mut(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($bound) => Some(&mut self.$bound),)*
                    _ => None,
                }
            }
        }
    };
}

/// Why bounds cannot hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} = {value} is out of range: it may be {least} to {most}{because}")]
pub struct BoundsError {
    /// The bound.
    pub name: &'static str,
    /// What was configured.
    pub value: u64,
    /// The least that works.
    pub least: u64,
    /// The most that works.
    pub most: u64,
    /// Which other setting says so, in words.
    pub because: &'static str,
}

/// Whether a bound is one that works.
///
/// # Errors
/// It is not.
pub fn in_range(
    name: &'static str,
    value: u64,
    least: u64,
    most: u64,
    because: &'static str,
) -> Result<(), BoundsError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(BoundsError { name, value, least, most, because }) }
}

/// A bound as a size in memory.
pub fn size(bound: u64) -> usize {
    usize::try_from(bound).unwrap_or(usize::MAX)
}
