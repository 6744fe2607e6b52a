//! Numbers of any length between hexadecimal and decimal digits.
//!
//! Two directions of one long multiplication: shorter than what a big-integer crate would ask for, and the only arithmetic
//! of conversion.

use super::trouble::Trouble;

/// Nine decimal digits, or seven hexadecimal ones, at a time: a product with 16 and a carry fit into 64 bits.
const DECIMAL: u64 = 1_000_000_000;
const HEXADECIMAL: u64 = 1 << 28;

/// Hexadecimal digits of either case as a decimal number without zeros in front.
pub(super) fn decimal(hexadecimal: &str) -> Result<String, Trouble> {
    let groups = groups(hexadecimal, 16, DECIMAL, Trouble::NotHex)?;
    Ok(written(&groups, |first| first.to_string(), |group| format!("{group:09}")))
}

/// Decimal digits as a hexadecimal number in upper case without zeros in front.
pub(super) fn hexadecimal(decimal: &str) -> Result<String, Trouble> {
    let groups = groups(decimal, 10, HEXADECIMAL, Trouble::NotDecimal)?;
    Ok(written(&groups, |first| format!("{first:X}"), |group| format!("{group:07X}")))
}

/// The number in groups of digits of the other base, the lowest first.
fn groups(digits: &str, from: u32, base: u64, wrong: fn(char) -> Trouble) -> Result<Vec<u64>, Trouble> {
    if digits.is_empty() {
        return Err(Trouble::Empty);
    }
    let mut groups = vec![0_u64];
    for c in digits.chars() {
        let mut carry = u64::from(c.to_digit(from).ok_or(wrong(c))?);
        for group in &mut groups {
            let sum = *group * u64::from(from) + carry;
            *group = sum % base;
            carry = sum / base;
        }
        if carry > 0 {
            groups.push(carry);
        }
    }
    Ok(groups)
}

fn written(groups: &[u64], first: fn(u64) -> String, further: fn(u64) -> String) -> String {
    let mut written = String::new();
    for (place, group) in groups.iter().rev().enumerate() {
        written.push_str(&if place == 0 { first(*group) } else { further(*group) });
    }
    written
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_administrators_know_it() {
        assert_eq!(decimal("946EBD28").unwrap(), "2490285352");
        assert_eq!(decimal("946ebd28").unwrap(), "2490285352");
        assert_eq!(hexadecimal("2490285352").unwrap(), "946EBD28");
        assert_eq!((decimal("000").unwrap(), hexadecimal("000").unwrap()), ("0".to_owned(), "0".to_owned()));
        assert_eq!((decimal(""), decimal("1G")), (Err(Trouble::Empty), Err(Trouble::NotHex('G'))));
        assert_eq!(hexadecimal("1A"), Err(Trouble::NotDecimal('A')));
    }

    #[test]
    fn longer_than_any_machine_word() {
        // 2^512 - 1, the largest number of 128 hexadecimal digits.
        let largest = "13407807929942597099574024998205846127479365820592393377723561443721764030073\
                       546976801874298166903427690031858186486050853753882811946569946433649006084095";
        assert_eq!(decimal(&"F".repeat(128)).unwrap(), largest);
        assert_eq!(hexadecimal(largest).unwrap(), "F".repeat(128));
    }

    proptest! {
        #[test]
        fn there_and_back(number: u128, zeros in 0_usize..5) {
            let hex = format!("{}{number:x}", "0".repeat(zeros));
            prop_assert_eq!(decimal(&hex).unwrap(), number.to_string());
            prop_assert_eq!(hexadecimal(&number.to_string()).unwrap(), format!("{number:X}"));
        }

        #[test]
        fn of_any_length(hex in "[1-9A-F][0-9A-F]{0,199}") {
            prop_assert_eq!(hexadecimal(&decimal(&hex).unwrap()).unwrap(), hex);
        }
    }
}
