//! Values from apimachinery's own `quantity_test.go`, then properties against a simple model.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{Quantity, QuantityError};

fn mk_quantity(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A quantity's value in nano-units, for tables.
fn nano(text: &str) -> i128 {
    mk_quantity(text).nano
}

fn mk_error(text: &str) -> String {
    text.parse::<Quantity>().expect_err(text).to_string()
}

#[test]
fn quantity_values_follow_apimachinery() {
    for (text, expected) in [
        ("0", 0),
        ("0n", 0),
        ("0Ki", 0),
        ("-0", 0),
        ("1", 1_000_000_000),
        ("+1", 1_000_000_000),
        ("1Ki", 1024 * 1_000_000_000),
        ("7Mi", (7 << 20) * 1_000_000_000),
        ("6Gi", (6 << 30) * 1_000_000_000),
        ("5Ti", (5 << 40) * 1_000_000_000),
        ("4Pi", (4 << 50) * 1_000_000_000),
        ("3Ei", (3 << 60) * 1_000_000_000),
        ("5n", 5),
        ("4u", 4_000),
        ("3m", 3_000_000),
        ("8k", 8_000_000_000_000),
        ("7M", 7_000_000_000_000_000),
        ("6G", 6_000_000_000_000_000_000),
        ("5T", 5 * 10_i128.pow(21)),
        ("2P", 2 * 10_i128.pow(24)),
        ("1E", 10_i128.pow(27)),
        ("12E", 12 * 10_i128.pow(27)),
        ("1E-3", 1_000_000),
        ("1e3", 1_000_000_000_000),
        ("1E6", 10_i128.pow(15)),
        ("1.3E+6", 13 * 10_i128.pow(14)),
        ("0.5e-2", 5_000_000),
        ("100.035k", 100_035_000_000_000),
        ("0.0005k", 500_000_000),
        ("0.50000", 500_000_000),
        ("9.01", 9_010_000_000),
        ("100.035Ki", 102_435_840_000_000),
        ("0.5Mi", 524_288_000_000_000),
        ("0.025Ti", 27_487_790_694_400_000_000),
        (".001", 1_000_000),
        (".0001k", 100_000_000),
        ("1.", 1_000_000_000),
        ("1.G", 1_000_000_000_000_000_000),
        ("1000E", 10_i128.pow(30)),
        ("0e99999", 0),
        ("18446744073709551616", 18_446_744_073_709_551_616 * 1_000_000_000),
    ] {
        assert_eq!(nano(text), expected, "{text}");
        if !text.starts_with(['+', '-']) {
            assert_eq!(nano(&format!("-{text}")), -expected, "-{text}");
            assert_eq!(nano(&format!("+{text}")), expected, "+{text}");
        }
    }
}

#[test]
fn quantity_below_nano_rounds_away_from_zero() {
    for (text, expected) in [
        ("3.001n", 4),
        ("1.1E-9", 2),
        ("0.0000000001", 1),
        ("0.9n", 1),
        ("0.00000012345", 124),
        ("0.000000000001Ki", 2),
        (".000000001Ki", 1024),
        ("1e-400", 1),
        ("1e-2147483648", 1),
        ("0e-2147483648", 0),
        ("1.0000000000", 1_000_000_000),
        ("1.00000000001", 1_000_000_001),
    ] {
        assert_eq!(nano(text), expected, "{text}");
        assert_eq!(nano(&format!("-{text}")), -expected, "-{text}");
    }
}

#[test]
fn quantity_long_numbers_stay_exact() {
    let zeros = "0".repeat(500);
    assert_eq!(nano(&format!("{zeros}1.5{zeros}")), 1_500_000_000);
    assert_eq!(nano(&format!("1.5{zeros}1Gi")), nano("1.5Gi") + 1);
    assert_eq!(nano("1.123456789012Ei"), 1_295_257_491_548_492_069_126_602_228);
    // 2^-60, exactly.
    assert_eq!(
        nano("0.000000000000000000867361737988403547205962240695953369140625Ei"),
        1_000_000_000
    );
}

#[test]
fn quantity_refused_by_apimachinery_is_refused() {
    for text in [
        "", "1.1.M", "1+1.0M", "0.1mi", "0.1am", "aoeu", ".5i", "1i", "-3.01i", "-3.01e-", " 1",
        "1 ", "1 Gi", "1e", "1e3k", "1Ee3", "1e3.5", "--1", "+-1", "1GB", "1K", "1KI", "0x10",
        "1_000", "1,5", "NaN", "inf", "١",
    ] {
        assert!(text.parse::<Quantity>().is_err(), "{text}");
    }
}

#[test]
fn quantity_needs_a_digit() {
    for text in [".", "-", "+", "-.", "Ki", "e3", ".k"] {
        let error = text.parse::<Quantity>().expect_err(text);
        assert_eq!(error, QuantityError::NoNumber { text: text.to_owned() });
    }
}

#[test]
fn quantity_too_large_is_refused() {
    assert_eq!(mk_quantity("9223372036854775807").whole(), Some(u64::MAX >> 1));
    assert_eq!(mk_quantity("9007199254740991Ki").whole(), Some(9_007_199_254_740_991 << 10));
    assert_eq!(
        mk_error("8Ei"),
        "`8Ei` is too large: quantities with a binary suffix end at 2^63-1"
    );
    assert_eq!(mk_error("1e30"), "`1e30` is too large");
    for text in ["-8Ei", "9223372036854775807Ki", "1000000000000E", "1e2147483647", "1e99999999999"]
    {
        assert!(text.parse::<Quantity>().is_err(), "{text}");
    }
    assert!("9".repeat(400).parse::<Quantity>().is_err());
    assert!(format!("{}Ki", "9".repeat(400)).parse::<Quantity>().is_err());
}

#[test]
fn quantity_wrong_suffix_suggests_the_right_one() {
    for (text, expected) in [
        ("64gi", "`gi` is not a quantity's suffix: did you mean `Gi`?"),
        ("64GB", "`GB` is not a quantity's suffix: did you mean `G` or `Gi`?"),
        ("64GiB", "`GiB` is not a quantity's suffix: did you mean `Gi`?"),
        ("64K", "`K` is not a quantity's suffix: did you mean `k` or `Ki`?"),
        ("64 Gi", "` Gi` is not a quantity's suffix: did you mean `Gi`?"),
        (
            "4 cores",
            "` cores` is not a quantity's suffix: use one of n, u, m, k, M, G, T, P, E, Ki, Mi, \
             Gi, Ti, Pi, Ei, an exponent such as e3, or none",
        ),
    ] {
        assert_eq!(mk_error(text), expected);
    }
    assert_eq!(mk_error(""), "a quantity must not be empty");
    assert_eq!(
        mk_error("eight"),
        "`eight` is not a quantity: write a decimal number, such as `8`, `500m` or `64Gi`"
    );
}

#[test]
fn quantity_compares_by_value_prints_as_written() {
    for (left, right) in
        [("1000m", "1"), ("1Gi", "1024Mi"), ("1e3", "1k"), ("+1.50", "1500m"), ("-0", "0Ki")]
    {
        assert_eq!(mk_quantity(left), mk_quantity(right));
        assert_eq!(mk_quantity(left).to_string(), left);
        let both = HashSet::from([mk_quantity(left), mk_quantity(right)]);
        assert_eq!(both.len(), 1);
    }
    assert!(mk_quantity("10000T") > mk_quantity("100Gi"));
    assert!(mk_quantity("1G") < mk_quantity("1Gi"));
    assert!(mk_quantity("-1") < mk_quantity("1n"));
    assert_eq!(format!("{:>6}", mk_quantity("64Gi")), "  64Gi");
}

#[test]
fn quantity_product_keeps_the_suffix() {
    for (text, n, expected) in [
        ("10", 4, "40"),
        ("200000Mi", 2, "400000Mi"),
        ("100G", 2, "200G"),
        ("1.5Gi", 3, "4.5Gi"),
        ("1.5Gi", 2, "3Gi"),
        ("500m", 3, "1500m"),
        ("+1.50", 1, "+1.50"),
        ("-1.5k", 3, "-4.5k"),
        ("1.5e3", 3, "4.5e3"),
        ("1E+3", 2, "2E+3"),
        (".5", 2, "1"),
        ("5.", 2, "10"),
        ("16Gi", 0, "0Gi"),
        // Rounded when parsed, so that ten of them are ten nano-units.
        ("0.1n", 10, "10n"),
        ("1e-12", 2, "2n"),
        // The suffix cannot express it.
        ("5Ei", 2, "11529215046068469760"),
        ("1.0009765625Ki", 2, "2.001953125Ki"),
        ("1.00048828125Ki", 2, "2049"),
    ] {
        let product = mk_quantity(text).checked_times(n).unwrap();
        assert_eq!(product.to_string(), expected, "{text} x {n}");
        assert_eq!(product.nano, nano(text) * i128::from(n), "{text} x {n}");
    }
    assert_eq!(mk_quantity("100000000000E").checked_times(2).map(|q| q.to_string()), None);
}

#[test]
fn quantity_product_overflow_is_none() {
    // -2^126 nano: twice that is i128::MIN, whose magnitude no text can have.
    let low = mk_quantity("-85070591730234615865843651857.942052864");
    assert_eq!(low.checked_times(2), None);
    assert_eq!(low.checked_add(&low), None);
    assert_eq!(mk_quantity("1e29").checked_times(u32::MAX), None);
}

#[test]
fn quantity_sum_is_exact() {
    for (left, right, expected) in [
        ("1Gi", "1Gi", "2Gi"),
        ("1Gi", "512Mi", "1.5Gi"),
        ("512Mi", "1Gi", "1536Mi"),
        ("1Gi", "1Mi", "1025Mi"),
        ("1Gi", "1", "1073741825"),
        ("1Gi", "1n", "1073741824000000001n"),
        ("4", "500m", "4.5"),
        ("500m", "4", "4500m"),
        ("1", "1n", "1000000001n"),
        ("0", "1Gi", "1Gi"),
        ("1Gi", "0", "1Gi"),
        ("1Gi", "-1Gi", "0Gi"),
        ("1Gi", "1G", "2073741824"),
        ("7Ei", "7Ei", "16140901064495857664"),
        ("0Ki", "0", "0"),
    ] {
        let sum = mk_quantity(left).checked_add(&mk_quantity(right)).unwrap();
        assert_eq!(sum.to_string(), expected, "{left} + {right}");
        assert_eq!(sum.nano, nano(left) + nano(right), "{left} + {right}");
    }
    let large = mk_quantity("1e29");
    assert_eq!(large.checked_add(&large), None);
}

#[test]
fn quantity_count_is_a_whole_number() {
    for (text, expected) in [
        ("8", Some(8)),
        ("8000m", Some(8)),
        ("0.008k", Some(8)),
        ("1Ki", Some(1024)),
        ("-0", Some(0)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("500m", None),
        ("-1", None),
    ] {
        assert_eq!(mk_quantity(text).whole(), expected, "{text}");
    }
    assert!(mk_quantity("-8").is_integer() && mk_quantity("-8").is_negative());
    assert!(!mk_quantity("8001m").is_integer());
    assert!(mk_quantity("0Gi").is_zero() && !mk_quantity("0Gi").is_negative());
}

/// Texts that are quantities: sign, digits, fraction, suffix.
fn quantities() -> impl Strategy<Value = String> {
    let number = prop_oneof!["[+-]?[0-9]{1,9}", "[+-]?[0-9]{1,6}[.][0-9]{0,12}", "[.][0-9]{1,9}"];
    let suffix = prop_oneof!["[numkMGTPE]?", "[KMG]i", "[eE][+-]?[0-9]"];
    (number, suffix).prop_map(|(number, suffix)| number + &suffix)
}

proptest! {
    #[test]
    fn quantity_display_and_parse_are_inverse(text in quantities()) {
        let quantity = mk_quantity(&text);
        prop_assert_eq!(quantity.to_string(), text);
        let again = mk_quantity(quantity.as_str());
        prop_assert_eq!(&again, &quantity);
    }

    #[test]
    fn quantity_order_follows_values(left in quantities(), right in quantities()) {
        let (left, right) = (mk_quantity(&left), mk_quantity(&right));
        prop_assert_eq!(left.cmp(&right), left.nano.cmp(&right.nano));
        prop_assert_eq!(left.cmp(&right), right.cmp(&left).reverse());
        prop_assert_eq!(left == right, left.cmp(&right).is_eq());
        // A sum with a positive value is larger.
        if !right.is_negative() && !right.is_zero() {
            prop_assert!(left.checked_add(&right).unwrap() > left);
        }
    }

    #[test]
    fn quantity_product_equals_repeated_sum(text in quantities(), n in 0_u32..20) {
        let quantity = mk_quantity(&text);
        let mut sum = mk_quantity("0");
        for _ in 0..n {
            sum = sum.checked_add(&quantity).unwrap();
        }
        let product = quantity.checked_times(n).unwrap();
        prop_assert_eq!(&product, &sum);
        prop_assert_eq!(product.nano, quantity.nano * i128::from(n));
    }

    #[test]
    fn quantity_sum_is_commutative(left in quantities(), right in quantities()) {
        let (left, right) = (mk_quantity(&left), mk_quantity(&right));
        prop_assert_eq!(left.checked_add(&right), right.checked_add(&left));
        prop_assert_eq!(left.checked_add(&right).unwrap().nano, left.nano + right.nano);
    }

    #[test]
    fn quantity_decimals_agree_with_the_model(
        whole in 0_i128..1_000_000_000,
        thousandths in 0_i128..1000,
        power in 0_u32..7,
    ) {
        let suffix = ["m", "", "k", "M", "G", "T", "P"][power as usize];
        let text = format!("{whole}.{thousandths:03}{suffix}");
        prop_assert_eq!(nano(&text), (whole * 1000 + thousandths) * 1000 * 1000_i128.pow(power));
    }

    #[test]
    fn quantity_binaries_agree_with_the_model(
        whole in 0_i128..1_000_000,
        millionths in 0_i128..1_000_000,
        power in 1_usize..5,
    ) {
        let text = format!("{whole}.{millionths:06}{}", ["", "Ki", "Mi", "Gi", "Ti"][power]);
        prop_assert_eq!(nano(&text), (whole * 1_000_000 + millionths) * 1000 * (1 << (10 * power)));
    }

    #[test]
    fn quantity_of_any_text_never_panics(text in prop_oneof!["\\PC*", "[-+.0-9eEinumkKMGTPi]{0,60}"]) {
        match text.parse::<Quantity>() {
            Ok(quantity) => {
                let _ = quantity.checked_times(u32::MAX);
                let _ = quantity.checked_add(&quantity);
                let _ = quantity.whole();
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
