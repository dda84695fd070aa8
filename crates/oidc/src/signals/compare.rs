//! What two nodes' words about one person amount to. One node alone makes no event: it may lie, or be a minute ahead of the other.

use super::Event;
use hufu_kernel::{Octets, Timestamp};
use hufu_wire::api::handles::PersonStanding;

/// Seconds before its end that a handle is let go: nodes' clocks differ, and one that ends by itself must not look like somebody who left.
const ENDING: i64 = 120;

/// What a comparison came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The person is still a subject.
    Stays {
        /// What happened, by both nodes' word; mostly nothing.
        events: Vec<Event>,
        /// What is known from now on.
        known: Box<[PersonStanding; 2]>,
    },
    /// The person is no subject any more: the sessions of the handle are over, or neither node opens it.
    Gone {
        /// The end of all sessions, if it was not merely the handle's time.
        events: Vec<Event>,
    },
}

/// Whether a handle of which nodes said this ends now or in a moment.
#[must_use]
pub fn ending(known: &[PersonStanding; 2], now: Timestamp) -> bool {
    known.iter().any(|standing| now + ENDING >= standing.exp)
}

/// What both nodes say, if they say the same of the person: where a comparison can begin.
#[must_use]
pub fn agreed(said: [Option<PersonStanding>; 2]) -> Option<[PersonStanding; 2]> {
    let [Some(one), Some(other)] = said else { return None };
    let same = (one.active, one.same_epoch) == (other.active, other.same_epoch);
    same.then_some([one, other])
}

/// Compares what was known, in which both nodes agreed, with what both say, the lower node's word first.
#[must_use]
pub fn compare(known: &[PersonStanding; 2], said: [Option<PersonStanding>; 2], now: Timestamp) -> Verdict {
    let [one, other] = match said {
        [Some(one), Some(other)] => [one, other],
        [None, None] => {
            return Verdict::Gone { events: if ending(known, now) { Vec::new() } else { vec![Event::SessionRevoked] } };
        }
        // One node's word: the other's may follow.
        _ => return Verdict::Stays { events: Vec::new(), known: Box::new(*known) },
    };
    if !one.same_epoch && !other.same_epoch {
        // What comes after is the affair of whoever the person signs in to then.
        return Verdict::Gone { events: vec![Event::SessionRevoked] };
    }
    let (mut events, mut next) = (Vec::new(), *known);
    let both = |of: fn(&PersonStanding) -> Octets<32>| of(&known[0]) != of(&one) && of(&known[1]) != of(&other);
    if both(|standing| standing.credentials) {
        events.push(Event::CredentialChange);
        (next[0].credentials, next[1].credentials) = (one.credentials, other.credentials);
    }
    if known[0].active != one.active && known[1].active != other.active {
        events.push(Event::AssuranceLevelChange { active: one.active });
        (next[0].active, next[1].active) = (one.active, other.active);
    }
    Verdict::Stays { events, known: Box::new(next) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1000);

    fn standing(of: u8) -> PersonStanding {
        PersonStanding { active: true, same_epoch: true, credentials: Octets([of; 32]), exp: NOW + ENDING + 10 }
    }

    fn known() -> [PersonStanding; 2] {
        [standing(1), standing(2)]
    }

    fn waits() -> Verdict {
        Verdict::Stays { events: vec![], known: Box::new(known()) }
    }

    type Change = fn(&mut PersonStanding);

    const CHANGES: [(Change, Event); 2] = [
        (|now| now.credentials = Octets([200; 32]), Event::CredentialChange),
        (|now| now.active = false, Event::AssuranceLevelChange { active: false }),
    ];

    #[test]
    fn both_nodes_make_an_event_once_and_one_makes_none() {
        for (change, event) in CHANGES {
            let (mut first, mut both) = (known(), known());
            change(&mut first[0]);
            both.iter_mut().for_each(change);
            assert_eq!(compare(&known(), first.map(Some), NOW), waits(), "one node alone");
            let told = compare(&known(), both.map(Some), NOW);
            assert_eq!(told, Verdict::Stays { events: vec![event], known: Box::new(both) });
            assert_eq!(
                compare(&both, both.map(Some), NOW),
                Verdict::Stays { events: vec![], known: Box::new(both) },
                "not twice"
            );
        }
    }

    #[test]
    fn who_signed_out_everywhere_is_told_of_and_watched_no_longer() {
        let (mut first, mut both) = (known(), known());
        first[0].same_epoch = false;
        both.iter_mut().for_each(|standing| (standing.active, standing.same_epoch) = (false, false));
        assert_eq!(compare(&known(), first.map(Some), NOW), waits(), "one node alone");
        // And of what else changed with it nothing is said.
        both[0].credentials = Octets([200; 32]);
        both[1].credentials = Octets([200; 32]);
        assert_eq!(compare(&known(), both.map(Some), NOW), Verdict::Gone { events: vec![Event::SessionRevoked] });
    }

    #[test]
    fn somebody_who_left_is_told_and_a_handle_that_ended_is_not() {
        assert_eq!(compare(&known(), [None, None], NOW), Verdict::Gone { events: vec![Event::SessionRevoked] });
        // Two minutes before: a node whose clock is ahead has ended it already.
        assert_eq!(compare(&known(), [None, None], NOW + 10), Verdict::Gone { events: vec![] });
        assert!(!ending(&known(), NOW + 9) && ending(&known(), NOW + 10));
        assert_eq!(compare(&known(), [None, Some(standing(2))], NOW), waits());
        assert_eq!(compare(&known(), [Some(standing(1)), None], NOW), waits());
    }

    #[test]
    fn a_comparison_begins_where_both_say_the_same() {
        assert_eq!(agreed(known().map(Some)), Some(known()));
        let changes: [Change; 2] = [|now| now.active = false, |now| now.same_epoch = false];
        for change in changes {
            let mut differ = known();
            change(&mut differ[1]);
            assert_eq!(agreed(differ.map(Some)), None);
        }
        assert_eq!(agreed([Some(standing(1)), None]), None);
    }

    proptest! {
        /// Whatever one node says, nobody is told anything that the other does not confirm.
        #[test]
        fn one_node_alone_makes_no_event(active: bool, same_epoch: bool, digest: [u8; 32], gone: bool, which in 0..2_usize) {
            let lie = PersonStanding { active, same_epoch, credentials: Octets(digest), exp: NOW };
            let mut said = known().map(Some);
            said[which] = (!gone).then_some(lie);
            prop_assert_eq!(compare(&known(), said, NOW), waits());
        }
    }
}
