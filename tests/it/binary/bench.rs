//! `keystead bench`: the configured hash cost is measured and judged, and what it recommends is a configuration.

use serde_json::Value;

use super::process::Place;

#[test]
fn the_configured_cost_is_measured_and_what_is_recommended_can_be_configured() {
    let place = Place::new().set("HASHING__THREADS", "2");
    let text = place.run(&["bench", "--seconds", "1", "--sign-ins", "1", "--cost", "m=7168,t=5"]);
    assert_eq!(text.code, Some(0), "{text:?}");
    for said in [
        "Argon2id in 2 threads, 1 s for each cost\n",
        "\nconfigured  8           1           1            ",
        "\n--cost      7168        5           1            ",
        "The configured cost is too low: it is below what OWASP recommends",
        "Recommended: 7168 KiB and 5 passes",
    ] {
        assert!(text.out.contains(said), "{said:?} is not in {}", text.out);
    }
    // The last lines are a file as it may be named with --config.
    let (_, lines) = text.out.split_once("[hashing]").expect("the lines to configure");
    let file = place.write("keystead.toml", &format!("[hashing]{lines}"));
    let mended = Place::new().unset("HASHING__MEMORY_KIB").unset("HASHING__ITERATIONS");
    let file = file.to_str().expect("UTF-8");
    let again = mended.run(&["bench", "--json", "--config", file, "--seconds", "1", "--sign-ins", "1"]);
    assert_eq!((again.code, again.err.as_str()), (Some(0), ""), "{again:?}");
    let answer: Value = serde_json::from_str(&again.out).expect("one line of JSON");
    let configured = &answer["costs"][0];
    assert_eq!((&configured["memory_kib"], &configured["iterations"]), (&7168.into(), &5.into()), "{answer}");
    let (rate, hash_ms) = (configured["sign_ins_per_second"].as_f64(), configured["hash_ms"].as_f64());
    let threads = answer["threads"].as_f64().expect("a number");
    let product = rate.expect("a number") * hash_ms.expect("a number");
    assert!((product - 1000.0 * threads).abs() < 1.0, "{answer}");
    // Beside it the usual ones.
    assert_eq!(answer["costs"].as_array().map(Vec::len), Some(5), "{answer}");
    assert_ne!(answer["verdict"], "too_low", "{answer}");
    assert!(answer["recommended"]["memory_kib"].as_u64() >= Some(7168), "{answer}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let place = Place::new();
    for (arguments, code, told) in [
        (&["bench", "--cost", "m=19456"][..], 2, "is not a cost: write it like m=65536,t=3,p=1"),
        (&["bench", "--cost", "m=99999999,t=1"], 2, "hash cost out of range"),
        (&["bench", "--seconds", "0"], 2, "0 is not in 1..=60"),
        (&["bench", "--config", "none.toml"], 78, "none.toml"),
    ] {
        let ended = place.run(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{ended:?}");
        assert!(ended.err.contains(told), "{told:?} is not in {}", ended.err);
    }
}
