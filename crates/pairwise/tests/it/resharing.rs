//! Moving to new keys: no pseudonym changes, every sub-key does, and old keys beside new ones are worth no more than new ones.
#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::rng;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hufu_kernel::{Element, Octets, Subset, random};
use hufu_pairwise::{
    Group, Intl, commitment, ep, epoch_message, moved_commitment, moved_offset, same_sum, sector_point, sub, sub_key,
    sum_scalars, way_back, zero_message, zero_sum,
};
use proptest::prelude::*;
use sha2::Sha256;

type Scalar = <Intl as Group>::Scalar;
type Keys = [[u8; 32]; 3];

pub fn prf(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// One person's sub-keys of a generation, with the row's offsets.
#[derive(Clone)]
pub struct Held {
    keys: Keys,
    offsets: [Option<[u8; 32]>; 3],
    epoch: Option<[u8; 16]>,
    root: [u8; 32],
}

impl Held {
    fn message(&self) -> Vec<u8> {
        self.epoch.map_or_else(|| self.root.to_vec(), |epoch| epoch_message(&self.root, &epoch))
    }

    fn e(&self, subset: Subset) -> Scalar {
        let offset = self.offsets[subset.slot()].as_ref().map(<[u8; 32]>::as_slice);
        sub_key::<Intl>(&prf(&self.keys[subset.slot()], &self.message()), offset).unwrap()
    }

    fn all(&self) -> [Scalar; 3] {
        Subset::ALL.map(|subset| self.e(subset))
    }

    fn whole(&self) -> Scalar {
        sum_scalars::<Intl>(&self.all()).unwrap()
    }

    fn zero(&self, z: &[u8; 32]) -> [Scalar; 3] {
        let epoch = self.epoch.as_ref().map(<[u8; 16]>::as_slice);
        let of = |subset| prf(z, &zero_message(subset, &self.root, epoch));
        zero_sum::<Intl>(&of(Subset::S12), &of(Subset::S13))
    }

    fn moved(&self, z: &[u8; 32], keys: Keys) -> Self {
        let zero = self.zero(z);
        let offsets = Subset::ALL.map(|subset| {
            let new = prf(&keys[subset.slot()], &self.message());
            Some(*moved_offset::<Intl>(&self.e(subset), &zero[subset.slot()], &new))
        });
        Self { keys, offsets, ..self.clone() }
    }

    fn commitments(&self) -> [Element; 3] {
        self.all().each_ref().map(commitment::<Intl>)
    }
}

fn keys(seed: u64) -> Keys {
    let rng = rng(seed);
    [random(&rng), random(&rng), random(&rng)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_generation_changes_a_pseudonym_and_each_changes_every_sub_key(seed: u64, generations in 1_u64..4, of_epoch: bool) {
        let rng = rng(seed);
        let mut held = Held { keys: keys(seed ^ 1), offsets: [None; 3], epoch: of_epoch.then(|| random(&rng)), root: random(&rng) };
        let base = sector_point::<Intl>("https://shop.example");
        let whole = Intl::mul(&held.whole(), &base);
        let names = (sub::<Intl>(&whole), ep::<Intl>(&whole));
        for generation in 0..generations {
            let z = random(&rng);
            let next = held.moved(&z, keys(seed ^ (2 + generation)));
            let after = Intl::mul(&next.whole(), &base);
            prop_assert_eq!(&(sub::<Intl>(&after), ep::<Intl>(&after)), &names);
            for subset in Subset::ALL {
                prop_assert!(held.e(subset) != next.e(subset));
            }
            // A node computes the commitment of the subset that it does not hold.
            let zero = held.zero(&z);
            let (before, now) = (held.commitments(), next.commitments());
            for subset in Subset::ALL {
                let moved = moved_commitment::<Intl>(&before[subset.slot()], &zero[subset.slot()]).unwrap();
                prop_assert_eq!(&moved, &now[subset.slot()]);
            }
            prop_assert!(same_sum::<Intl>(before.each_ref(), now.each_ref()).unwrap());
            let mut wrong = now.clone();
            wrong[0] = before[0].clone();
            prop_assert!(!same_sum::<Intl>(before.each_ref(), wrong.each_ref()).unwrap());
            held = next;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_way_back_leads_to_what_was_before(seed: u64, moved_before: bool, of_epoch: bool) {
        let rng = rng(seed);
        let epoch = of_epoch.then(|| random(&rng));
        let mut held = Held { keys: keys(seed ^ 1), offsets: [None; 3], epoch, root: random(&rng) };
        if moved_before {
            held = held.moved(&random(&rng), keys(seed ^ 2));
        }
        let z = random(&rng);
        let next = held.moved(&z, keys(seed ^ 3));
        let back = way_back::<Intl>(&held.zero(&z));
        for subset in Subset::ALL {
            let slot = subset.slot();
            let old = prf(&held.keys[slot], &held.message());
            let offset = moved_offset::<Intl>(&next.e(subset), &back[slot], &old);
            prop_assert_eq!(*offset, held.offsets[slot].unwrap_or_default());
            let there = moved_commitment::<Intl>(&next.commitments()[slot], &back[slot]).unwrap();
            prop_assert_eq!(&there, &held.commitments()[slot]);
        }
    }
}

/// What a thief computes of k_u: every sub-key it knows at one generation, or nothing.
fn whole(known: &[Option<Scalar>; 3]) -> Option<Scalar> {
    let known: Option<Vec<Scalar>> = known.iter().cloned().collect();
    known.and_then(|known| sum_scalars::<Intl>(&known))
}

/// A thief has all that node 2 held before the move, and later all that node 1 holds after it. It knows every root and offset. What
/// keeps k_u from it is that Z is gone: with Z, the same thief succeeds, which is why `hufu keys retire` destroys it.
#[test]
fn one_node_s_old_keys_and_another_node_s_new_ones_do_not_give_k_u_once_z_is_destroyed() {
    let before = Held { keys: keys(1), offsets: [None; 3], epoch: None, root: random(&rng(2)) };
    let z = random(&rng(3));
    let after = before.moved(&z, keys(4));
    let stolen_before = [Some(before.e(Subset::S12)), None, Some(before.e(Subset::S23))];
    let stolen_after = [Some(after.e(Subset::S12)), Some(after.e(Subset::S13)), None];
    let k_u = before.whole();

    // Neither haul is whole, and mixing generations gives other numbers.
    assert!(whole(&stolen_before).is_none() && whole(&stolen_after).is_none());
    let mixed =
        |s12: &Scalar| whole(&[Some(s12.clone()), stolen_after[1].clone(), stolen_before[2].clone()]).unwrap() != k_u;
    assert!(mixed(stolen_before[0].as_ref().unwrap()) && mixed(stolen_after[0].as_ref().unwrap()));
    // z_12 follows from both hauls, z_13 and z_23 do not: any pair of numbers with their sum is as good as another.
    let minus_one = Intl::scalar_sub_mul(
        &Intl::scalar_one(),
        &Intl::scalar_one(),
        &Intl::scalar_add(&Intl::scalar_one(), &Intl::scalar_one()),
    );
    let z_12 = Intl::scalar_add(
        stolen_after[0].as_ref().unwrap(),
        &Intl::scalar_mul(&minus_one, stolen_before[0].as_ref().unwrap()),
    );
    assert!(z_12 == before.zero(&z)[0]);
    let guess = whole(&[stolen_after[0].clone(), stolen_after[1].clone(), stolen_before[2].clone()]).unwrap();
    assert!(guess != k_u);

    // The control: with Z it is k_u.
    let z_23 = before.zero(&z)[2].clone();
    let e_23 = Intl::scalar_add(stolen_before[2].as_ref().unwrap(), &z_23);
    let with_z = whole(&[stolen_after[0].clone(), stolen_after[1].clone(), Some(e_23)]).unwrap();
    assert!(with_z == k_u);
}

#[test]
fn what_z_is_applied_to_is_one_message_a_subset_purpose_and_epoch() {
    let (root, epoch) = ([1; 32], Octets([2; 16]));
    let messages: std::collections::BTreeSet<Vec<u8>> = [Subset::S12, Subset::S13]
        .into_iter()
        .flat_map(|subset| {
            [None, Some(epoch.as_slice()), Some(&[3; 16])].map(|epoch| zero_message(subset, &root, epoch))
        })
        .collect();
    assert_eq!(messages.len(), 6);
}
