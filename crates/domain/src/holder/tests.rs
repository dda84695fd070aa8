//! What a row refuses, whoever asks.

use super::*;
use hufu_kernel::AgeBand;
use hufu_wire::webauthn::DeviceKey;

const RULES: rules::Recovery = rules::Recovery { delay_s: 72 * 3600, delivered_within_s: 3600 };
const NOW: Timestamp = Timestamp(1_795_000_000);

/// An Ed25519 COSE_Key (RFC 9053 section 7.2): the curve's base point.
fn any_key() -> DeviceKey {
    let mut key = vec![0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20, 0x58];
    key.extend([0x66; 31]);
    DeviceKey::from_cose(&key).unwrap()
}

fn device(name: u8, not_before: Option<Timestamp>) -> Device {
    Device { credential: Octets([name; 32]), key: any_key(), holder_key: Bytes(vec![4; 65]), since: NOW, not_before }
}

fn active(devices: Vec<Device>) -> Holder {
    let flags = Flags { real: true, unique: true, alive: true, band: AgeBand::Adult, band_until: None };
    let mut holder = Holder::pending(EnrolmentId::from([1; 16]), NOW, flags, Epoch::from([2; 16]), devices[0].clone());
    holder.status = Status::Active;
    holder.version = 1;
    holder.devices = devices;
    holder
}

fn say(holder: &Holder, change: Change, signer: Signer<'_>, t: Timestamp, now: Timestamp) -> Result<Applied, Refusal> {
    let statement = Statement { version: holder.version, head: holder.head, t, change };
    holder.apply(&statement, b"bytes", signer, Timing::Fresh(now), &RULES)
}

#[test]
fn not_even_the_registrar_shortens_the_delay() {
    let holder = active(vec![device(1, None)]);
    for (not_before, expected) in [
        (None, Err(Refusal::Malformed)),
        (Some(NOW), Err(Refusal::Malformed)),
        (Some(NOW + RULES.delay_s - 1), Err(Refusal::Malformed)),
        (Some(NOW + RULES.delay_s), Ok(2)),
    ] {
        let applied = say(&holder, Change::Recover { device: device(9, not_before) }, Signer::Registrar, NOW, NOW);
        assert_eq!(applied.map(|applied| applied.holder.devices.len()), expected, "{not_before:?}");
    }
}

#[test]
fn a_recovery_says_that_the_person_must_be_told() {
    let until = NOW + RULES.delay_s;
    let holder = active(vec![device(1, None)]);
    let applied = say(&holder, Change::Recover { device: device(9, Some(until)) }, Signer::Registrar, NOW, NOW);
    assert_eq!(applied.unwrap().effect, Effect::Notice(Notice::Recovery { until }));
}

#[test]
fn the_registrar_can_recover_and_nothing_else_and_nobody_else_can() {
    let holder = active(vec![device(1, None), device(2, None)]);
    let waits = Some(NOW + RULES.delay_s);
    let one = Octets([1; 32]);
    let changes = [
        Change::AddDevice { device: device(9, None) },
        Change::RemoveDevice { credential: Octets([2; 32]) },
        Change::Lock {},
        Change::Unlock {},
        Change::EndSessions { epoch: Epoch::from([3; 16]) },
        Change::Veto { credential: Octets([2; 32]) },
        Change::Leave {},
    ];
    for change in changes {
        let refused = say(&holder, change.clone(), Signer::Registrar, NOW, NOW);
        assert_eq!(refused.unwrap_err(), Refusal::ChallengeMismatch, "{change:?}");
    }
    for signer in [Signer::Device(&one), Signer::HolderKey(&one)] {
        let refused = say(&holder, Change::Recover { device: device(9, waits) }, signer, NOW, NOW);
        assert_eq!(refused.unwrap_err(), Refusal::ChallengeMismatch);
    }
    let forged = say(&holder, Change::AddDevice { device: device(9, waits) }, Signer::Device(&one), NOW, NOW);
    assert_eq!(forged.unwrap_err(), Refusal::Malformed);
}

#[test]
fn a_devices_word_is_fresh_and_the_registrars_may_wait_an_hour_in_its_outbox() {
    let holder = active(vec![device(1, None)]);
    let one = Octets([1; 32]);
    let late = RULES.delivered_within_s;
    for (signer, change, late) in [
        (Signer::Device(&one), Change::Lock {}, CLOCK_SKEW),
        (Signer::Registrar, Change::Recover { device: device(9, Some(NOW + late + RULES.delay_s)) }, late),
    ] {
        assert!(say(&holder, change.clone(), signer, NOW, NOW + late).is_ok());
        assert_eq!(say(&holder, change.clone(), signer, NOW, NOW + late + 1).unwrap_err(), Refusal::StaleTime);
        assert_eq!(say(&holder, change, signer, NOW + CLOCK_SKEW + 1, NOW).unwrap_err(), Refusal::StaleTime);
    }
}

#[test]
fn a_statement_for_another_state_of_the_row_is_refused() {
    let holder = active(vec![device(1, None)]);
    let one = Octets([1; 32]);
    let applied = say(&holder, Change::Lock {}, Signer::Device(&one), NOW, NOW).unwrap().holder;
    let stale = Statement { version: holder.version, head: holder.head, t: NOW, change: Change::Unlock {} };
    let refused = applied.apply(&stale, b"bytes", Signer::Device(&one), Timing::Fresh(NOW), &RULES);
    assert_eq!(refused.unwrap_err(), Refusal::VersionConflict);
}

#[test]
fn a_person_has_sixteen_devices_at_most_and_may_still_recover() {
    let mut devices: Vec<Device> = (1..).take(MAX_DEVICES).map(|name| device(name, None)).collect();
    let holder = active(devices.clone());
    let one = Octets([1; 32]);
    let more = say(&holder, Change::AddDevice { device: device(99, None) }, Signer::Device(&one), NOW, NOW);
    assert_eq!(more.unwrap_err(), Refusal::TooManyDevices);
    let waits = Some(NOW + RULES.delay_s);
    let recovered = say(&holder, Change::Recover { device: device(99, waits) }, Signer::Registrar, NOW, NOW);
    assert_eq!(recovered.unwrap().holder.devices.len(), MAX_DEVICES + 1);
    devices.pop();
    let holder = active(devices);
    assert!(say(&holder, Change::AddDevice { device: device(99, None) }, Signer::Device(&one), NOW, NOW).is_ok());
}

#[test]
fn a_waiting_device_does_not_count_as_one_that_is_left() {
    let holder = active(vec![device(1, None), device(9, Some(NOW + 60))]);
    let one = Octets([1; 32]);
    let remove = Change::RemoveDevice { credential: one };
    assert_eq!(say(&holder, remove.clone(), Signer::Device(&one), NOW, NOW).unwrap_err(), Refusal::LastDevice);
    assert!(say(&holder, remove, Signer::Device(&one), NOW + 60, NOW + 60).is_ok());
}

#[test]
fn nodes_that_make_different_things_of_one_statement_have_different_heads() {
    let one = Octets([1; 32]);
    let mut twin = active(vec![device(1, None), device(2, None)]);
    let holder = active(vec![device(1, None), device(3, None)]);
    twin.head = holder.head;
    let heads =
        [&holder, &twin].map(|row| say(row, Change::Lock {}, Signer::Device(&one), NOW, NOW).unwrap().holder.head);
    assert_ne!(heads[0], heads[1]);
}

#[test]
fn whether_a_device_waits_is_judged_at_the_statements_time_and_not_at_the_nodes() {
    let holder = active(vec![device(1, None), device(9, Some(NOW + 1))]);
    let one = Octets([1; 32]);
    let veto = Change::Veto { credential: Octets([9; 32]) };
    let at = |now| say(&holder, veto.clone(), Signer::Device(&one), NOW, now).unwrap().holder.head;
    assert_eq!(at(NOW), at(NOW + 30), "a node that hears of it after the delay decides the same");
}

#[test]
fn what_two_nodes_have_accepted_is_not_too_old_and_what_one_voted_for_ends_after_a_day() {
    let one = Octets([1; 32]);
    let holder = active(vec![device(1, None)]);
    let statement = Statement { version: 1, head: holder.head, t: NOW, change: Change::Lock {} };
    let at = |timing| holder.apply(&statement, b"bytes", Signer::Device(&one), timing, &RULES).map(|_| ());
    for (timing, expected) in [
        (Timing::Fresh(NOW + 60), Ok(())),
        (Timing::Fresh(NOW + 61), Err(Refusal::StaleTime)),
        (Timing::Late(NOW + 86_400), Ok(())),
        (Timing::Late(NOW + 86_401), Err(Refusal::StaleTime)),
        (Timing::Late(NOW - 61), Err(Refusal::StaleTime)),
        (Timing::Fetched, Ok(())),
    ] {
        assert_eq!(at(timing), expected, "{timing:?}");
    }
}

#[test]
fn a_recovery_that_is_ended_late_leaves_the_whole_delay_and_one_that_two_accepted_stands() {
    let holder = active(vec![device(1, None)]);
    let until = NOW + RULES.delay_s;
    let change = Change::Recover { device: device(9, Some(until)) };
    let statement = Statement { version: 1, head: holder.head, t: NOW, change };
    let at = |timing| holder.apply(&statement, b"bytes", Signer::Registrar, timing, &RULES).map(|_| ());
    assert_eq!(at(Timing::Late(NOW)), Ok(()));
    assert_eq!(at(Timing::Late(NOW + 1)), Err(Refusal::Malformed), "not a second less");
    assert_eq!(at(Timing::Late(NOW + RULES.delivered_within_s + 1)), Err(Refusal::StaleTime));
    assert_eq!(at(Timing::Fetched), Ok(()));
}

#[test]
fn a_device_that_waited_when_it_signed_gains_nothing_by_being_late() {
    let two = Octets([2; 32]);
    let holder = active(vec![device(1, None), device(2, Some(NOW + 10))]);
    let statement = Statement { version: 1, head: holder.head, t: NOW, change: Change::Lock {} };
    for timing in [Timing::Late(NOW + 20), Timing::Fetched] {
        let refused = holder.apply(&statement, b"bytes", Signer::Device(&two), timing, &RULES);
        assert_eq!(refused.unwrap_err(), Refusal::VetoPeriod);
    }
}
