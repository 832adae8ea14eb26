//! Evidence: sealed under a day's key, committed to by its record, gone with its day.

use super::*;

fn vault(data: &Path, seed: u8) -> Vault {
    Vault::new(
        &data.join("vault"),
        Tenant::default_tenant(),
        &Secret::new([seed; 32]),
    )
    .unwrap()
}

/// An intent with evidence, and the evidence.
fn with_evidence(vault: &Vault, number: u64) -> (Record, writ_audit::Evidence) {
    let mut record = intent(number);
    let text = format!("{{\"argument\":{number}}}");
    let evidence = vault
        .seal(record.header.id, EvidenceKind::Call, text.as_bytes())
        .unwrap();
    let Event::Intent(intent) = &mut record.event else {
        panic!("an intent")
    };
    intent.evidence = Some(evidence.reference());
    (record, evidence)
}

fn append_all(
    writer: &LogWriter,
    vault: &Vault,
    numbers: impl Iterator<Item = u64>,
) -> Vec<Record> {
    let mut records = Vec::new();
    for number in numbers {
        let (record, evidence) = with_evidence(vault, number);
        assert!(run(writer.append(record.clone(), Some(evidence), Durability::Durable)).is_ok());
        records.push(record);
    }
    records
}

fn opened(vault: &Vault, record: &Record) -> Result<String, VaultError> {
    let (kind, text) = vault.open(record.header.id, &record.evidence().unwrap())?;
    assert_eq!(kind, EvidenceKind::Call);
    Ok(String::from_utf8(text.expose().clone()).unwrap())
}

#[test]
fn evidence_opens_with_its_record_and_lies_nowhere_in_the_clear() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    let own = vault(data.path(), 1);
    let records = append_all(&writer, &own, 0..3);
    drop(writer);
    for (number, record) in records.iter().enumerate() {
        assert_eq!(
            opened(&own, record).unwrap(),
            format!("{{\"argument\":{number}}}")
        );
    }
    assert_eq!(
        opened(&vault(data.path(), 1), &records[1]).unwrap(),
        "{\"argument\":1}",
        "after a restart"
    );
    let wrong_key = opened(&vault(data.path(), 2), &records[1]);
    assert!(matches!(wrong_key, Err(VaultError::Key { .. })));
    for (_, entry) in entries(data.path()) {
        assert!(!entry.windows(8).any(|window| window == b"argument"));
    }
    for file in fs::read_dir(data.path().join("vault")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"argument"));
    }
}

#[test]
fn evidence_of_another_record_kind_or_tenant_does_not_open() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    let own = vault(data.path(), 1);
    let records = append_all(&writer, &own, 0..2);
    let (first, second) = (&records[0], &records[1]);
    let swapped = own.open(first.header.id, &second.evidence().unwrap());
    assert!(matches!(swapped, Err(VaultError::Altered { .. })));
    let missing = own.open(header(9).id, &first.evidence().unwrap());
    assert!(matches!(missing, Err(VaultError::Missing { .. })));
    let foreign = Vault::new(
        &data.path().join("vault"),
        "other".parse().unwrap(),
        &Secret::new([1; 32]),
    )
    .unwrap();
    let opened = foreign.open(first.header.id, &first.evidence().unwrap());
    assert!(
        matches!(opened, Err(VaultError::Key { .. })),
        "the tenant is in every context"
    );
}

#[test]
fn every_changed_byte_of_evidence_is_noticed() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    let own = vault(data.path(), 1);
    let record = append_all(&writer, &own, 0..1).pop().unwrap();
    let day = record.evidence().unwrap().day;
    let path = data.path().join(format!("vault/{day}.evidence"));
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut altered = good.clone();
        altered[at] ^= 1;
        fs::write(&path, altered).unwrap();
        let result = opened(&own, &record);
        assert!(
            matches!(
                result,
                Err(VaultError::Altered { .. } | VaultError::Missing { .. })
            ),
            "byte {at}"
        );
    }
}

#[test]
fn a_deleted_day_is_gone_and_the_log_still_verifies() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    let own = vault(data.path(), 1);
    // Three days: a record's day is in its id.
    let records = append_all(&writer, &own, [0, 86_400, 2 * 86_400].into_iter());
    let days: Vec<Day> = records
        .iter()
        .map(|record| record.evidence().unwrap().day)
        .collect();
    assert_eq!(own.expire(days[2]).unwrap(), days[..2]);
    assert!(matches!(
        opened(&own, &records[0]),
        Err(VaultError::Expired { .. })
    ));
    assert!(matches!(
        opened(&own, &records[1]),
        Err(VaultError::Expired { .. })
    ));
    assert_eq!(opened(&own, &records[2]).unwrap(), "{\"argument\":172800}");
    let names: Vec<_> = fs::read_dir(data.path().join("vault"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with(&days[2].to_string()))
        .collect();
    assert!(names.is_empty(), "{names:?}");
    drop(writer);
    assert!(verify(data.path()).is_sound());
    assert!(own.expire(days[2]).unwrap().is_empty());
}

#[test]
fn a_torn_frame_hides_nothing_that_comes_after_it() {
    let data = scratch();
    let own = vault(data.path(), 1);
    let (writer, _) = open(data.path()).unwrap();
    let first = append_all(&writer, &own, 0..2);
    drop(writer);
    let path = data.path().join(format!(
        "vault/{}.evidence",
        first[0].evidence().unwrap().day
    ));
    let whole = fs::read(&path).unwrap();
    for cut in [1, 30, whole.len() / 2 - 1] {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let (writer, _) = open(data.path()).unwrap();
        let number = 10 + u64::try_from(cut).unwrap();
        let later = append_all(&writer, &own, number..number + 1);
        assert_eq!(opened(&own, &first[0]).unwrap(), "{\"argument\":0}");
        assert!(matches!(
            opened(&own, &first[1]),
            Err(VaultError::Missing { .. })
        ));
        assert_eq!(
            opened(&own, &later[0]).unwrap(),
            format!("{{\"argument\":{number}}}")
        );
    }
}

#[cfg(unix)]
#[test]
fn keys_and_evidence_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append_all(&writer, &vault(data.path(), 1), 0..1);
    for file in fs::read_dir(data.path().join("vault")).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn two_seals_of_one_text_differ() {
    let data = scratch();
    let own = vault(data.path(), 1);
    let seal = || {
        own.seal(header(1).id, EvidenceKind::Task, b"the same prompt")
            .unwrap()
    };
    assert_ne!(seal().sealed(), seal().sealed());
}
