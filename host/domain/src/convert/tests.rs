//! Conversions as administrators write them, and what must hold for every text.

use proptest::prelude::*;

use super::*;

fn of(pattern: &str, chain: &str) -> Conversion {
    Rules { regex: pattern, chain }.compile().unwrap()
}

fn convert(pattern: &str, chain: &str, said: &str) -> Result<String, String> {
    let card = of(pattern, chain).convert(Some(said), None);
    card.map(|card| card.reveal().to_owned()).map_err(|error| error.to_string())
}

fn raw(bits: &str) -> Bits {
    let byte = |eight: &[u8]| {
        eight.iter().enumerate().fold(0_u8, |byte, (place, bit)| byte | u8::from(*bit == b'1') << (7 - place))
    };
    Bits { data: bits.as_bytes().chunks(8).map(byte).collect(), length: u32::try_from(bits.len()).unwrap() }
}

fn convert_raw(pattern: &str, chain: &str, bits: &str) -> Result<String, String> {
    let card = of(pattern, chain).convert(None, Some(&raw(bits)));
    card.map(|card| card.reveal().to_owned()).map_err(|error| error.to_string())
}

#[test]
fn the_cut_alone() {
    assert_eq!(convert("", "", " 5235092385=8 ").unwrap(), "5235092385");
    assert_eq!(convert("", "", "EMP123").unwrap(), "EMP123");
    assert_eq!(of("", "").convert(Some("=8"), None), Err(ConvertError::Card(CardError::Empty)));
    assert_eq!(of("", "").convert(None, None), Err(ConvertError::Card(CardError::Empty)));
}

#[test]
fn the_pattern_sees_what_the_cut_left_and_else_the_whole() {
    assert_eq!(convert("(.{10})", "", "5235092385=8").unwrap(), "5235092385");
    assert_eq!(convert("^0*([0-9]+)$", "", "0004711=8").unwrap(), "4711");
    assert_eq!(convert(r"\d*=(\d*)=\d*", "", "1=4711=8").unwrap(), "4711");
    assert_eq!(of("([A-F]{4})", "").convert(Some("4711"), None), Err(ConvertError::NoMatch));
}

#[test]
fn a_pattern_without_a_group_or_out_of_bounds_is_refused() {
    assert_eq!(Pattern::new("[0-9]+").unwrap_err(), PatternError::NoGroup);
    assert!(matches!(Pattern::new("(").unwrap_err(), PatternError::Syntax(_)));
    assert!(matches!(Pattern::new("(a{1000}{1000})").unwrap_err(), PatternError::Syntax(_)));
}

#[test]
fn every_step_does_what_its_help_says() {
    for (chain, said, number) in [
        ("hex2dec", "946EBD28", "2490285352"),
        ("hex2dec", "00946ebd28", "2490285352"),
        ("dec2hex", "2490285352", "946EBD28"),
        ("dec2hex", "0010", "A"),
        ("ascii-enc", "3934364542443238", "946EBD28"),
        ("ascii-enc|hex2dec", "3934364542443238", "2490285352"),
        ("reverse-bytes", "28BD6E94", "946EBD28"),
        ("reverse-bytes|hex2dec", "28bd6e94", "2490285352"),
        ("reverse-bits", "01", "80"),
        ("reverse-bits|reverse-bytes", "0102", "8040"),
        ("bits(9,8)", "946EBD28", "6E"),
        ("bits(-8,8)", "946EBD28", "28"),
        ("bits(9,8)|hex2dec", "946EBD28", "110"),
        // A window keeps its exact count: 12 bits are three digits, 5 are two.
        ("bits(1,12)", "946EBD28", "946"),
        ("bits(1,5)", "946EBD28", "12"),
        ("bits(1,12)|bits(-4,4)", "946EBD28", "6"),
        ("fields(1,8,3,9,16,5)", "0C3039", "01212345"),
        ("fields(9,16,0)", "0C3039", "12345"),
        ("pad(10)", "4711", "0000004711"),
        ("pad(6,F)|reverse-bytes", "4711", "1147FF"),
        ("pad(2)", "4711", "4711"),
        ("trim", "0004711", "4711"),
        ("trim", "000", "0"),
        ("trim(F)", "FF4711", "4711"),
        ("first(4)", "47110815", "4711"),
        ("last(4)", "47110815", "0815"),
        ("part(3,-2)", "47110815", "11081"),
        ("part(3,3)", "47110815", "1"),
        ("upper", "abC1", "ABC1"),
        ("lower", "aBC1", "abc1"),
        (" hex2dec | pad( 12 , 0 ) ", "946EBD28=7", "002490285352"),
    ] {
        assert_eq!(convert("", chain, said).unwrap(), number, "{chain} of {said}");
    }
    // The pattern finds the number, the chain converts it.
    assert_eq!(convert("^ID(.{8})", "hex2dec", "ID946EBD28x").unwrap(), "2490285352");
}

#[test]
fn a_failure_names_its_step_and_never_the_number() {
    for (chain, said, error) in [
        ("reverse-bytes|dec2hex", "28BD6E94", "step 2, dec2hex: 'E' is no decimal digit"),
        ("hex2dec", "EMP123", "step 1, hex2dec: 'M' is no hexadecimal digit"),
        (
            "reverse-bytes",
            "471",
            "step 1, reverse-bytes: 3 hexadecimal digits are no whole bytes; put pad(4) before it",
        ),
        ("ascii-enc", "0A41", "step 1, ascii-enc: byte 0A is no printable ASCII character"),
        ("bits(17,16)", "471", "step 1, bits(17,16): there are only 12 bits"),
        ("bits(-16,16)", "471", "step 1, bits(-16,16): there are only 12 bits"),
        (
            "bits(1,4)|dec2hex",
            "4711",
            "step 2, dec2hex: it reads decimal digits, and these are raw bits; hex2dec gives",
        ),
        ("bits(1,4)|reverse-bytes", "4711", "step 2, reverse-bytes: 4 bits are no whole bytes"),
        (
            "fields(1,8,3,9,16,4)",
            "0C3039",
            "step 1, fields(1,8,3,9,16,4): the number in 16 bits has 5 digits, and 4 are",
        ),
        ("first(10)", "4711", "step 1, first(10): there are only 4 characters"),
        ("last(10)", "4711", "step 1, last(10): there are only 4 characters"),
        ("part(3,-4)", "4711", "step 1, part(3,-4): of 4 characters this is no part: it ends before it begins"),
        ("part(1,9)", "4711", "step 1, part(1,9): there are only 4 characters"),
        ("hex2dec", "", "step 1, hex2dec: there is nothing to convert"),
    ] {
        let told = convert("", chain, said).unwrap_err();
        assert!(told.starts_with(&format!("ext-device.card-no-converter: {error}")), "{chain} of {said}: {told}");
        assert!(said.len() < 4 || !told.contains(said), "{told}");
    }
    // A long number is bounded by what a card number may be, too.
    assert!(convert("", "hex2dec", &"F".repeat(128)).unwrap_err().contains("at most 128 characters"));
    assert_eq!(convert("", "hex2dec|last(20)", &"F".repeat(128)).unwrap(), "69946433649006084095");
}

#[test]
fn raw_bits_enter_with_their_exact_count() {
    // H10301: parity, facility 12 in 8 bits, number 12345 in 16, parity.
    let h10301 = "00000110000110000001110010";
    assert_eq!(convert_raw("", "fields(2,8,3,10,16,5)", h10301).unwrap(), "01212345");
    assert_eq!(convert_raw("", "bits(2,24)", h10301).unwrap(), "0C3039");
    assert_eq!(convert_raw("", "", h10301).unwrap(), "0186072");
    assert_eq!(convert_raw("", "hex2dec", h10301).unwrap(), "1597554");
    assert_eq!(convert_raw("", "reverse-bits|bits(2,16)|reverse-bits|hex2dec", h10301).unwrap(), "12345");
    assert!(convert_raw("", "reverse-bytes", h10301).unwrap_err().contains("26 bits are no whole bytes"));
    // A pattern finds in the digits; a chain that asks for bits is given them past the pattern.
    assert_eq!(convert_raw("^0*(.*)$", "", h10301).unwrap(), "186072");
    assert_eq!(convert_raw("^0*(.*)$", "bits(2,24)", h10301).unwrap(), "0C3039");
}

#[test]
fn text_goes_before_bits_unless_the_chain_asks_for_bits() {
    let both = |chain: &str| {
        of("", chain).convert(Some("4711"), Some(&raw("0000110000110000"))).map(|card| card.reveal().to_owned())
    };
    assert_eq!(both("").unwrap(), "4711");
    assert_eq!(both("hex2dec").unwrap(), "18193");
    assert_eq!(both("bits(1,8)").unwrap(), "0C");
    assert_eq!(both("pad(8)|bits(-8,8)").unwrap(), "11");
}

#[test]
fn every_stage_is_explained() {
    let (stages, result) = of("^(.{8})", "reverse-bytes|dec2hex").explain(Some("28BD6E94X=7"), None);
    let told: Vec<_> = stages
        .iter()
        .map(|stage| {
            format!(
                "{}: {} -> {}",
                stage.step,
                stage.input,
                stage.output.as_deref().or(stage.error.as_deref()).unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "cut at =: 28BD6E94X=7 -> 28BD6E94X",
            "ext-device.card-no-regex: 28BD6E94X -> 28BD6E94",
            "reverse-bytes: 28BD6E94 -> 946EBD28",
            "dec2hex: 946EBD28 -> 'E' is no decimal digit",
        ]
    );
    assert!(result.is_err());
}

#[test]
fn a_chain_is_read_strictly() {
    let error = |text: &str| text.parse::<Chain>().unwrap_err().to_string();
    assert!(error("hex2dec|revers-bytes").starts_with(
        "step 2: no step \"revers-bytes\" (did you mean \"reverse-bytes\"?); known: hex2dec, dec2hex, ascii-enc"
    ));
    assert!(error("hex2dec||upper").starts_with("step 2 is empty"));
    assert!(error("javascript:card.js").contains("scripts are not run"));
    assert_eq!(error("pad(x)"), "step 1: \"x\" is no number from 1 to 128; write pad(LENGTH,CHARACTER)");
    assert_eq!(error("bits(0,8)").split(':').nth(1), Some(" \"0\" is no position"));
    assert!(error("bits(1,8").contains("is not closed"));
    assert!(error("bits(1)").contains("bits does not take 1 arguments; write bits(FROM,COUNT)"));
    assert!(error("hex2dec()").contains("hex2dec does not take 1 arguments"));
    assert!(error("pad(9,=)").contains("not a single letter or digit"));
    assert!(error("fields(1,8,3,9,16,0)").contains("only the first number may have 0"));
    assert!(error("fields(1,8,3,9,16)").contains("fields does not take 5 arguments"));
    assert!(error("Hex2Dec").contains("did you mean \"hex2dec\"?"));
    assert!(error(&["upper"; 17].join("|")).contains("at most 16 steps, this one has 17"));
    assert_eq!("".parse::<Chain>().unwrap(), Chain::default());
}

#[test]
fn every_step_of_the_table_can_be_written() {
    for usage in STEPS {
        let example = match usage.name {
            "bits" | "part" => "(1,2)",
            "fields" => "(1,2,3)",
            "pad" | "first" | "last" => "(4)",
            _ => "",
        };
        let text = format!("{}{example}", usage.name);
        let chain: Chain = text.parse().unwrap();
        assert_eq!(chain.to_string(), text);
        assert!(usage.form.starts_with(usage.name));
    }
}

/// Any step with any arguments that can be written.
pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let position = || prop_oneof![1..300_i32, -300..-1_i32];
    let window = || (position(), 1..200_usize).prop_map(|(from, count)| Window { from, count });
    let field = move |digits| (window(), digits).prop_map(|(window, digits)| Field { window, digits });
    prop_oneof![
        Just(Step::Hex2Dec),
        Just(Step::Dec2Hex),
        Just(Step::AsciiEnc),
        Just(Step::ReverseBytes),
        Just(Step::ReverseBits),
        Just(Step::Upper),
        Just(Step::Lower),
        window().prop_map(Step::Bits),
        (field(0..9_usize), proptest::collection::vec(field(1..9_usize), 0..3))
            .prop_map(|(first, rest)| Step::Fields(std::iter::once(first).chain(rest).collect())),
        (1..129_usize, prop_oneof![Just('0'), Just('F'), Just('z')]).prop_map(|(length, with)| Step::Pad(length, with)),
        prop_oneof![Just('0'), Just('A')].prop_map(Step::Trim),
        (1..200_usize).prop_map(Step::First),
        (1..200_usize).prop_map(Step::Last),
        (position(), position()).prop_map(|(from, to)| Step::Part(from, to)),
    ]
}

proptest! {
    #[test]
    fn what_comes_out_is_a_card_number_or_an_error(
        said: String,
        digits in "[0-9A-Fa-f]{0,140}",
        steps in proptest::collection::vec(any_step(), 0..6),
    ) {
        let conversion = Conversion { pattern: None, chain: Chain(steps) };
        for said in [&said, &digits] {
            if let Ok(card) = conversion.convert(Some(said), None) {
                prop_assert!(card.reveal().chars().all(char::is_alphanumeric));
            }
        }
    }

    #[test]
    fn raw_bits_of_every_count(bits in "[01]{1,300}", steps in proptest::collection::vec(any_step(), 0..6)) {
        prop_assert_eq!(Value::raw(&raw(&bits)), Value::Bits(bits.clone()));
        let _ = Conversion { pattern: None, chain: Chain(steps) }.convert(None, Some(&raw(&bits)));
    }

    #[test]
    fn what_is_written_is_read_back(steps in proptest::collection::vec(any_step(), 0..16)) {
        let chain = Chain(steps);
        prop_assert_eq!(chain.to_string().parse::<Chain>().unwrap(), chain);
    }

    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,80}") {
        let _ = text.parse::<Chain>();
    }

    #[test]
    fn no_arguments_break_the_parser(
        name in prop::sample::select(STEPS.iter().map(|usage| usage.name).collect::<Vec<_>>()),
        arguments in "[-0-9,)( |A=é]{0,40}",
    ) {
        if let Ok(chain) = format!("{name}({arguments})").parse::<Chain>() {
            let _ = Conversion { pattern: None, chain }.convert(Some("946EBD28"), None);
        }
    }

    #[test]
    fn reversing_twice_changes_nothing(bytes in "([0-9A-F]{2}){1,64}", bits in "[01]{1,200}") {
        for chain in ["reverse-bytes|reverse-bytes", "reverse-bits|reverse-bits"] {
            prop_assert_eq!(convert("", chain, &bytes).unwrap(), bytes.clone());
        }
        let twice: Chain = "reverse-bits|reverse-bits".parse().unwrap();
        prop_assert_eq!(twice.run(Value::Bits(bits.clone()), |_, _, _| {}).unwrap(), Value::Bits(bits));
    }

    #[test]
    fn dec2hex_undoes_hex2dec(hex in "[1-9A-F][0-9A-F]{0,99}", decimal in "[1-9][0-9]{0,119}") {
        prop_assert_eq!(convert("", "hex2dec|dec2hex", &hex).unwrap(), hex);
        prop_assert_eq!(convert("", "dec2hex|hex2dec", &decimal).unwrap(), decimal);
    }

    #[test]
    fn a_credential_comes_apart(facility: u8, number: u16, even: bool, odd: bool) {
        let bits = format!("{}{facility:08b}{number:016b}{}", u8::from(even), u8::from(odd));
        prop_assert_eq!(
            convert_raw("", "fields(2,8,3,10,16,5)", &bits).unwrap(),
            format!("{facility:03}{number:05}")
        );
        prop_assert_eq!(convert_raw("", "fields(-17,16,0)", &bits).unwrap(), number.to_string());
        prop_assert_eq!(convert_raw("", "bits(2,24)", &bits).unwrap(), format!("{facility:02X}{number:04X}"));
    }

    #[test]
    fn the_recipes_of_the_documentation(facility: u16, number in 0..1_u32 << 19, long in 0..1_u64 << 35, ends: (bool, bool)) {
        let (first, last) = (u8::from(ends.0), u8::from(ends.1));
        let short = number & 0xFFFF;
        let bits = format!("{first}{facility:016b}{short:016b}{last}");
        prop_assert_eq!(convert_raw("", "fields(2,16,5,18,16,5)", &bits).unwrap(), format!("{facility:05}{short:05}"));
        prop_assert_eq!(convert_raw("", "fields(18,16,0)", &bits).unwrap(), short.to_string());
        let bits = format!("{first}{facility:016b}{number:019b}{last}");
        prop_assert_eq!(convert_raw("", "fields(2,16,5,18,19,6)", &bits).unwrap(), format!("{facility:05}{number:06}"));
        prop_assert_eq!(convert_raw("", "fields(18,19,0)", &bits).unwrap(), number.to_string());
        prop_assert_eq!(convert_raw("", "fields(2,35,0)", &format!("{first}{long:035b}{last}")).unwrap(), long.to_string());
        // The bits of H10301 as a hexadecimal number, whatever zeros stand in front, and without parity.
        let facility = facility & 0xFF;
        let bits = u32::from(first) << 25 | u32::from(facility) << 17 | short << 1 | u32::from(last);
        for read in [format!("{bits:x}"), format!("{bits:07X}"), format!("{bits:08X}")] {
            let both = convert("", "pad(7)|fields(-25,8,3,-17,16,5)", &read);
            prop_assert_eq!(both.unwrap(), format!("{facility:03}{short:05}"));
            prop_assert_eq!(convert("", "pad(7)|fields(-17,16,0)", &read).unwrap(), short.to_string());
        }
        let bare = format!("{facility:02X}{short:04X}");
        prop_assert_eq!(convert("", "fields(-24,8,3,-16,16,5)", &bare).unwrap(), format!("{facility:03}{short:05}"));
    }
}
