//! The two keys that are shared two of three, as one kind of thing: the nodes' signing key on Ed25519 and the taggers' OPRF key on
//! ristretto255. Both are Shamir shares f(1), f(2), f(3) in the encodings of `frost-core`, whose distributed generation and repair
//! are generic over the group.

use crate::error::{JointError, JointFault};
use frost_core::{Ciphersuite, Field, Group, Identifier};
use frost_ed25519::Ed25519Sha512;
use frost_ed25519::rand_core::{CryptoRng, Error as RandError, RngCore};
use frost_ristretto255::Ristretto255Sha512;
use hufu_kernel::{NodeIndex, Octets, Rng};

mod sealed {
    pub trait Sealed {}
}

/// A key shared two of three.
pub trait SharedKey: sealed::Sealed + 'static {
    /// Its group, as `frost-core` has it.
    type Suite: Ciphersuite;
    /// Its name in vectors.
    const NAME: &'static str;
}

/// The nodes' key that signs results: FROST(Ed25519, SHA-512) of RFC 9591.
#[derive(Debug, Clone, Copy)]
pub enum GroupShares {}

/// The taggers' key: OPRF(ristretto255, SHA-512) of RFC 9497.
#[derive(Debug, Clone, Copy)]
pub enum TagShares {}

impl sealed::Sealed for GroupShares {}
impl sealed::Sealed for TagShares {}

impl SharedKey for GroupShares {
    type Suite = Ed25519Sha512;
    const NAME: &'static str = "Ed25519";
}

impl SharedKey for TagShares {
    type Suite = Ristretto255Sha512;
    const NAME: &'static str = "RISTRETTO255";
}

pub(crate) type ScalarOf<K> = frost_core::Scalar<<K as SharedKey>::Suite>;
pub(crate) type PointOf<K> = frost_core::Element<<K as SharedKey>::Suite>;
type FieldOf<K> = <<<K as SharedKey>::Suite as Ciphersuite>::Group as Group>::Field;
type GroupOf<K> = <<K as SharedKey>::Suite as Ciphersuite>::Group;

/// The kernel's generator as the older `rand_core` that frost takes.
pub(crate) struct Adapter<'a>(pub &'a dyn Rng);

impl RngCore for Adapter<'_> {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(hufu_kernel::random(self.0))
    }
    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(hufu_kernel::random(self.0))
    }
    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill(dest);
    }
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), RandError> {
        self.0.fill(dest);
        Ok(())
    }
}

impl CryptoRng for Adapter<'_> {}

pub(crate) fn identifier<C: Ciphersuite>(index: NodeIndex) -> Result<Identifier<C>, JointError> {
    Identifier::try_from(u16::from(index.get())).map_err(|_| JointError::of(JointFault::Parties))
}

/// The party that the library names in an error.
pub(crate) fn named<C: Ciphersuite>(error: &frost_core::Error<C>) -> Option<NodeIndex> {
    let culprit = error.culprits().first().copied()?;
    NodeIndex::ALL.into_iter().find(|index| identifier::<C>(*index) == Ok(culprit))
}

pub(crate) fn malformed(party: NodeIndex) -> JointError {
    JointError::by(party, JointFault::Malformed)
}

pub(crate) fn point<K: SharedKey>(bytes: &[u8]) -> Option<PointOf<K>> {
    GroupOf::<K>::deserialize(&bytes.try_into().ok()?).ok()
}

pub(crate) fn point_bytes<K: SharedKey>(point: &PointOf<K>) -> Result<Octets<32>, JointError> {
    let bytes = GroupOf::<K>::serialize(point).map_err(|_| JointError::of(JointFault::Malformed))?;
    Octets::try_from(bytes.as_ref()).map_err(|_| JointError::of(JointFault::Malformed))
}

pub(crate) fn scalar<K: SharedKey>(bytes: &[u8]) -> Option<ScalarOf<K>> {
    FieldOf::<K>::deserialize(&bytes.try_into().ok()?).ok()
}

pub(crate) fn times_generator<K: SharedKey>(x: &ScalarOf<K>) -> PointOf<K> {
    GroupOf::<K>::generator() * *x
}

/// λ_i(x): the weight of share `i` among the shares of `i` and `other` at x. For x = 0 give `None`.
pub(crate) fn weight<K: SharedKey>(
    i: NodeIndex,
    other: NodeIndex,
    x: Option<NodeIndex>,
) -> Result<ScalarOf<K>, JointError> {
    let number = |index: NodeIndex| (0..index.get()).fold(FieldOf::<K>::zero(), |sum, _| sum + FieldOf::<K>::one());
    let x = x.map_or_else(FieldOf::<K>::zero, number);
    let inverse = FieldOf::<K>::invert(&(number(i) - number(other)));
    Ok((x - number(other)) * inverse.map_err(|_| JointError::of(JointFault::Parties))?)
}
