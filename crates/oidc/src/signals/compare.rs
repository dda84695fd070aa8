//! What two nodes' words about one person amount to. One node alone makes no event: it may lie, or be a minute ahead of the other.

use super::Event;
use hufu_kernel::{Octets, Timestamp};
use hufu_wire::api::handles::PersonStanding;

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
    /// Neither node opens the handle any more.
    Gone {
        /// The end of all sessions, if it was not merely the handle's time.
        events: Vec<Event>,
    },
}

/// Compares what was known with what both nodes say, the lower node's word first.
#[must_use]
pub fn compare(known: &[PersonStanding; 2], said: [Option<PersonStanding>; 2], now: Timestamp) -> Verdict {
    let [one, other] = match said {
        [Some(one), Some(other)] => [one, other],
        [None, None] => {
            let ended = known.iter().any(|standing| now >= standing.exp);
            return Verdict::Gone { events: if ended { Vec::new() } else { vec![Event::SessionRevoked] } };
        }
        // One node's word: the other's may follow.
        _ => return Verdict::Stays { events: Vec::new(), known: Box::new(*known) },
    };
    let (mut events, mut next) = (Vec::new(), *known);
    let both = |of: fn(&PersonStanding) -> Octets<32>| of(&known[0]) != of(&one) && of(&known[1]) != of(&other);
    if both(|standing| standing.sessions) {
        events.push(Event::SessionRevoked);
        for (next, now) in next.iter_mut().zip([one, other]) {
            (next.sessions, next.same_epoch) = (now.sessions, now.same_epoch);
        }
    }
    if both(|standing| standing.credentials) {
        events.push(Event::CredentialChange);
        for (next, now) in next.iter_mut().zip([one, other]) {
            next.credentials = now.credentials;
        }
    }
    if both(|standing| standing.assurance) {
        let turned = [(&known[0], one), (&known[1], other)].iter().all(|(known, now)| known.active != now.active);
        events.push(Event::AssuranceLevelChange { active: one.active && other.active, turned });
        for (next, now) in next.iter_mut().zip([one, other]) {
            (next.assurance, next.active) = (now.assurance, now.active);
        }
    }
    Verdict::Stays { events, known: Box::new(next) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1000);

    fn standing(of: u8) -> PersonStanding {
        let digest = |what| Octets([of ^ what; 32]);
        PersonStanding {
            active: true,
            same_epoch: true,
            sessions: digest(16),
            credentials: digest(32),
            assurance: digest(64),
            exp: NOW + 10,
        }
    }

    fn known() -> [PersonStanding; 2] {
        [standing(1), standing(2)]
    }

    type Change = fn(&mut PersonStanding);

    const CHANGES: [(Change, Event); 3] = [
        (|now| (now.sessions, now.same_epoch) = (Octets([200; 32]), false), Event::SessionRevoked),
        (|now| now.credentials = Octets([200; 32]), Event::CredentialChange),
        (
            |now| (now.assurance, now.active) = (Octets([200; 32]), false),
            Event::AssuranceLevelChange { active: false, turned: true },
        ),
    ];

    #[test]
    fn both_nodes_make_an_event_once_and_one_makes_none() {
        for (change, event) in CHANGES {
            let (mut first, mut both) = (known(), known());
            change(&mut first[0]);
            both.iter_mut().for_each(change);
            let waits = Verdict::Stays { events: vec![], known: Box::new(known()) };
            assert_eq!(compare(&known(), first.map(Some), NOW), waits, "one node alone");
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
    fn somebody_who_left_is_told_and_a_handle_that_ended_is_not() {
        assert_eq!(compare(&known(), [None, None], NOW), Verdict::Gone { events: vec![Event::SessionRevoked] });
        assert_eq!(compare(&known(), [None, None], NOW + 10), Verdict::Gone { events: vec![] });
        let waits = Verdict::Stays { events: vec![], known: Box::new(known()) };
        assert_eq!(compare(&known(), [None, Some(standing(2))], NOW), waits);
        assert_eq!(compare(&known(), [Some(standing(1)), None], NOW), waits);
    }

    proptest! {
        /// Whatever one node says, nobody is told anything that the other does not confirm.
        #[test]
        fn one_node_alone_makes_no_event(active: bool, same: bool, a: [u8; 32], b: [u8; 32], c: [u8; 32], gone: bool, which in 0..2_usize) {
            let lie = PersonStanding {
                active, same_epoch: same, sessions: Octets(a), credentials: Octets(b), assurance: Octets(c), exp: NOW,
            };
            let mut said = known().map(Some);
            said[which] = (!gone).then_some(lie);
            prop_assert_eq!(compare(&known(), said, NOW), Verdict::Stays { events: vec![], known: Box::new(known()) });
        }
    }
}
