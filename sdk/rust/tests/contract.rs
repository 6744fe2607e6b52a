//! The packaged copy of the contract.

/// The copy travels with the crate, so that it can be used outside this repository; here both must be the same.
#[test]
fn the_copy_is_the_contract() {
    let copy = include_str!("../wit/reader.wit");
    let contract = include_str!("../../../wit/v1/reader.wit");
    assert!(copy == contract, "copy wit/v1/reader.wit to sdk/rust/wit/");
}
