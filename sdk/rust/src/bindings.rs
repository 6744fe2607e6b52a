//! The contract as Rust types, generated from `wit/`, a copy of the contract that travels with this crate. Nothing here
//! is written by hand, and a driver sees the types only under this crate's own names.
#![allow(missing_docs, unsafe_code, clippy::all, clippy::pedantic, unused_qualifications, unreachable_pub)]

wit_bindgen::generate!({
    path: "wit",
    world: "reader-driver",
    additional_derives: [PartialEq, Eq],
    pub_export_macro: true,
    export_macro_name: "export_driver",
    default_bindings_module: "cardinal_sdk::bindings",
});
