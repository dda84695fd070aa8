//! Every order in which three nodes can vote on two statements, with messages lost and late, and nodes that crash between any two steps.

use super::*;
use std::collections::{BTreeMap, HashSet, VecDeque};

type Value = u8;

/// What a node is busy with; gone after a crash.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Job {
    /// Asks for acceptances of `value` in `ballot`; who has given one.
    Collects { ballot: u64, value: Value, acks: u8 },
    /// Asks for promises for `ballot`; what each told.
    Prepares { ballot: u64, told: [Option<Option<(u64, Value)>>; 3] },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Node {
    vote: Vote<Value>,
    committed: Option<Value>,
    job: Option<Job>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct World {
    nodes: [Node; 3],
    /// What was proposed in ballots of single nodes: such a request may arrive however late.
    proposed: BTreeMap<u64, Value>,
    /// Ballots that were opened: likewise.
    opened: Vec<u64>,
}

/// The rule under test; another one for the control.
type Rule = fn(&[Option<(u64, Value)>]) -> Choice<Value>;

const VALUES: [Value; 2] = [0, 1];

struct Walk {
    rule: Rule,
    highest: u64,
}

impl Walk {
    fn next(&self, world: &World) -> Vec<World> {
        let mut out = Vec::new();
        for at in 0..3 {
            self.arrivals(world, at, &mut out);
            if world.nodes[at].job.is_some() {
                let mut crashed = world.clone();
                crashed.nodes[at].job = None;
                out.push(crashed);
            }
            if world.nodes[at].committed.is_none() {
                self.steps(world, at, &mut out);
            }
        }
        out
    }

    /// Requests whose sender has crashed, given up or gone on; the answer reaches nobody.
    fn arrivals(&self, world: &World, at: usize, out: &mut Vec<World>) {
        if world.nodes[at].committed.is_some() {
            return;
        }
        let late = world.proposed.iter().map(|(ballot, value)| (*ballot, *value));
        for (ballot, value) in VALUES.map(|value| (OPEN, value)).into_iter().chain(late) {
            if let Ok(vote) = world.nodes[at].vote.accept(ballot, &value) {
                let mut next = world.clone();
                next.nodes[at].vote = vote;
                out.push(next);
            }
        }
        for ballot in &world.opened {
            if let Ok(vote) = world.nodes[at].vote.promise(*ballot) {
                let mut next = world.clone();
                next.nodes[at].vote = vote;
                out.push(next);
            }
        }
    }

    fn steps(&self, world: &World, at: usize, out: &mut Vec<World>) {
        for other in (0..3).filter(|other| *other != at) {
            // Catching up.
            if let Some(value) = world.nodes[other].committed {
                let mut next = world.clone();
                next.nodes[at] = Node { committed: Some(value), ..Node::default() };
                out.push(next);
            }
        }
        self.open(world, at, out);
        match world.nodes[at].job.clone() {
            None => {
                for value in VALUES {
                    let mut next = world.clone();
                    next.nodes[at].job = Some(Job::Collects { ballot: OPEN, value, acks: 0 });
                    out.push(next);
                }
            }
            Some(Job::Collects { ballot, value, acks }) => self.collect(world, at, (ballot, value, acks), out),
            Some(Job::Prepares { ballot, told }) => self.prepare(world, at, ballot, told, out),
        }
    }

    /// A ballot of one's own: the promise to oneself is on disk first.
    fn open(&self, world: &World, at: usize, out: &mut Vec<World>) {
        let ballot = next_ballot(NodeIndex::ALL[at], world.nodes[at].vote.promised);
        if ballot > self.highest {
            return;
        }
        let mut next = world.clone();
        let vote = next.nodes[at].vote.promise(ballot).unwrap();
        let mut told = [None; 3];
        told[at] = Some(vote.accepted);
        next.nodes[at].vote = vote;
        next.nodes[at].job = Some(Job::Prepares { ballot, told });
        next.opened.push(ballot);
        next.opened.sort_unstable();
        out.push(next);
    }

    fn collect(&self, world: &World, at: usize, (ballot, value, acks): (u64, Value, u8), out: &mut Vec<World>) {
        for other in (0..3).filter(|other| *other != at) {
            let node = &world.nodes[other];
            let vote = match node.committed {
                Some(held) if held == value => None,
                Some(_) => continue,
                None => match node.vote.accept(ballot, &value) {
                    Ok(vote) => Some(vote),
                    Err(_) => continue,
                },
            };
            let mut next = world.clone();
            if let Some(vote) = vote {
                next.nodes[other].vote = vote;
            }
            next.nodes[at].job = Some(Job::Collects { ballot, value, acks: acks | 1 << other });
            out.push(next);
        }
        let own = world.nodes[at].vote.accept(ballot, &value).is_ok();
        if acks.count_ones() + u32::from(own) >= 2 {
            let mut next = world.clone();
            next.nodes[at] = Node { committed: Some(value), ..Node::default() };
            out.push(next);
        }
    }

    fn prepare(
        &self,
        world: &World,
        at: usize,
        ballot: u64,
        told: [Option<Option<(u64, Value)>>; 3],
        out: &mut Vec<World>,
    ) {
        for other in (0..3).filter(|other| *other != at && told[*other].is_none()) {
            let node = &world.nodes[other];
            if node.committed.is_some() {
                continue;
            }
            if let Ok(vote) = node.vote.promise(ballot) {
                let mut told = told;
                told[other] = Some(vote.accepted);
                let mut next = world.clone();
                next.nodes[other].vote = vote;
                next.nodes[at].job = Some(Job::Prepares { ballot, told });
                out.push(next);
            }
        }
        let spoken: Vec<_> = told.into_iter().flatten().collect();
        if spoken.len() < 2 {
            return;
        }
        let may = match (self.rule)(&spoken) {
            Choice::Must(value) => vec![value],
            Choice::Free(_) => VALUES.to_vec(),
            Choice::Wait => vec![],
        };
        for value in may {
            let mut next = world.clone();
            next.nodes[at].job = Some(Job::Collects { ballot, value, acks: 0 });
            next.proposed.insert(ballot, value);
            out.push(next);
        }
    }

    /// Every world that can be reached; the first fork, if there is one.
    fn explore(&self) -> (HashSet<World>, Option<World>) {
        let mut seen = HashSet::from([World::default()]);
        let mut ahead = VecDeque::from([World::default()]);
        while let Some(world) = ahead.pop_front() {
            for next in self.next(&world) {
                let committed: HashSet<_> = next.nodes.iter().filter_map(|node| node.committed).collect();
                if committed.len() > 1 {
                    return (seen, Some(next));
                }
                if !seen.contains(&next) {
                    seen.insert(next.clone());
                    ahead.push_back(next);
                }
            }
        }
        (seen, None)
    }
}

/// What upkeep does with the nodes that are up, and nothing breaks: whether they come to a decision.
fn settles(world: &World, up: &[usize]) -> bool {
    if up.iter().any(|at| world.nodes[*at].committed.is_some()) {
        return true;
    }
    let highest = up.iter().map(|at| world.nodes[*at].vote.promised).max().unwrap();
    let ballot = next_ballot(NodeIndex::ALL[up[0]], highest);
    let told: Vec<_> = up.iter().map(|at| world.nodes[*at].vote.promise(ballot).unwrap().accepted).collect();
    choose(&told) != Choice::Wait
}

#[test]
fn no_order_of_steps_losses_and_crashes_forks_and_whatever_was_begun_can_be_ended() {
    let walk = Walk { rule: choose, highest: 7 };
    let (seen, fork) = walk.explore();
    assert_eq!(fork, None);
    assert!(seen.len() > 10_000, "the world was walked: {}", seen.len());
    println!("{} worlds", seen.len());
    for world in &seen {
        assert!(settles(world, &[0, 1, 2]), "three nodes that are up always come to a decision: {world:?}");
        for up in [[0, 1], [0, 2], [1, 2]] {
            // Two decide alone unless they hold different votes of the open ballot: the third may share one of them.
            let votes: Vec<_> = up.iter().map(|at| world.nodes[*at].vote.accepted).collect();
            let parted = matches!(votes[..], [Some((OPEN, one)), Some((OPEN, other))] if one != other);
            assert!(parted || settles(world, &up), "{world:?}");
        }
    }
}

/// The control: a rule that does not wait for the third, one that lets the lower win at once, and one that forgets votes, fork.
#[test]
fn rules_that_are_a_little_bolder_fork() {
    let lowest: Rule = |told| match choose(told) {
        Choice::Wait => Choice::Must(0),
        other => other,
    };
    let majority_only: Rule = |told| match (choose(told), told.len()) {
        (Choice::Must(_), 2) if told.contains(&None) => Choice::Free(vec![]),
        (other, _) => other,
    };
    let forgetful: Rule = |_| Choice::Free(vec![]);
    for rule in [lowest, majority_only, forgetful] {
        assert!(Walk { rule, highest: 7 }.explore().1.is_some());
    }
}

#[test]
fn a_node_keeps_its_promises() {
    let vote = Vote::<Value>::default().accept(OPEN, &1).unwrap();
    assert_eq!(vote.accept(OPEN, &0), Err(Against::Other));
    assert_eq!(vote.accept(OPEN, &1), Ok(vote.clone()));
    let promised = vote.promise(6).unwrap();
    assert_eq!(promised.accepted, Some((OPEN, 1)));
    assert_eq!(promised.accept(5, &1), Err(Against::Promised(6)));
    assert_eq!(promised.promise(6), Err(6));
    assert_eq!(promised.accept(6, &0).unwrap().accepted, Some((6, 0)));
    assert!(NodeIndex::ALL.iter().all(|node| next_ballot(*node, 7) > 7 && next_ballot(*node, 0) > OPEN));
}
