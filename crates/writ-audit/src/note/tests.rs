use proptest::prelude::*;

use super::*;

/// The example of C2SP signed-note and of Go's `sumdb/note`.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn signer(name: &str, seed: u8) -> Signer {
    Signer::new(name.parse().unwrap(), &Secret::new([seed; 32])).unwrap()
}

#[test]
fn the_published_example_verifies() {
    let key: VerifierKey = PETER.parse().unwrap();
    assert_eq!(key.to_string(), PETER);
    assert!(
        key.open(NOTE.as_bytes())
            .unwrap()
            .ends_with("your problem is.\n")
    );
    for at in 0..NOTE.len() {
        let mut bytes = NOTE.as_bytes().to_vec();
        bytes[at] ^= 0x01;
        assert!(key.open(&bytes).is_err(), "byte {at}");
    }
}

#[test]
fn other_signatures_are_ignored_and_a_bad_one_of_ours_is_fatal() {
    let (ours, other) = (signer("log.example/a", 1), signer("log.example/b", 2));
    let text = "text\n\nwith a blank line\n";
    let line = |signer: &Signer| {
        signer
            .sign(text)
            .split_once("line\n\n")
            .unwrap()
            .1
            .to_owned()
    };
    let both = format!("{text}\n{}{}", line(&other), line(&ours));
    assert_eq!(ours.verifier().open(both.as_bytes()), Ok(text));
    assert_eq!(other.verifier().open(both.as_bytes()), Ok(text));
    let only_other = other.sign(text);
    assert_eq!(
        ours.verifier().open(only_other.as_bytes()),
        Err(NoteError::Unsigned)
    );
    // The same name with another key is another key.
    let impostor = signer("log.example/a", 3);
    assert_eq!(
        ours.verifier().open(impostor.sign(text).as_bytes()),
        Err(NoteError::Unsigned)
    );
    // A good and a bad signature by our key: refused whole.
    let bad = ours
        .sign("another text\n")
        .split_once("\n\n")
        .unwrap()
        .1
        .to_owned();
    let good_and_bad = format!("{text}\n{}{bad}", line(&ours));
    assert_eq!(
        ours.verifier().open(good_and_bad.as_bytes()),
        Err(NoteError::Signature)
    );
}

#[test]
fn sixteen_signatures_are_read() {
    let ours = signer("log.example/a", 1);
    let mut note = ours.sign("text\n");
    for seed in 2..=16 {
        let line = signer("witness.example/w", seed).sign("text\n");
        note.push_str(line.split_once("\n\n").unwrap().1);
    }
    assert_eq!(ours.verifier().open(note.as_bytes()), Ok("text\n"));
}

#[test]
fn what_is_no_note_is_refused() {
    let ours = signer("log.example/a", 1);
    let good = ours.sign("text\n");
    for bad in [
        String::new(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        good.trim_end().to_owned(),
        good.replace("— ", "- "),
        good.replace("— log.example/a ", "— "),
        good.replace("text", "te\txt"),
        good.replace("text", "te\u{0}xt"),
        format!("{good}junk\n"),
        format!("text\n{}\n— log.example/a AAA=\n", "x".repeat(LONGEST)),
    ] {
        assert_eq!(
            ours.verifier().open(bad.as_bytes()),
            Err(NoteError::Format),
            "{bad:.80}"
        );
    }
}

#[test]
fn keys_that_are_not_what_they_say_are_refused() {
    for bad in [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpcQcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
    }
    for bad in ["", "a b", "a+b", "a\nb", "a\u{2003}b"] {
        assert!(bad.parse::<KeyName>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_signer_does_not_print_its_key() {
    let text = format!("{:?}", signer("log.example/a", 1));
    assert!(
        text.contains("log.example/a") && !text.contains("pair"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn what_is_signed_opens(text in "[ -~\\n]{0,80}", seed in 1u8..) {
        let signer = signer("log.example/a", seed);
        let text = format!("{text}\n");
        let note = signer.sign(&text);
        let key: VerifierKey = signer.verifier().to_string().parse().unwrap();
        prop_assert_eq!(key.open(note.as_bytes()), Ok(text.as_str()));
    }

    #[test]
    fn no_bytes_make_the_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(signer("log.example/a", 1).verifier().open(&bytes).is_err());
    }
}
