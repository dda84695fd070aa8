//! RFC 9180 in base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM: what the registrar seals to one node.

use hpke::{Deserializable, Kem as _, OpModeR, OpModeS, Serializable};
use hpke::{aead::AesGcm256, kdf::HkdfSha256, kem::X25519HkdfSha256};
use hufu_kernel::{Bytes, Refusal, Rng};
use std::convert::Infallible;
use zeroize::Zeroizing;

type Kem = X25519HkdfSha256;
const INFO: &[u8] = b"hufu-v1-hpke";

struct Adapter<'a>(&'a dyn Rng);

impl rand_core::TryRng for Adapter<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(hufu_kernel::random(self.0)))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(hufu_kernel::random(self.0)))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Adapter<'_> {}

/// A key pair: private, public.
#[must_use]
pub fn generate(rng: &dyn Rng) -> (Zeroizing<Vec<u8>>, Bytes) {
    let (private, public) = Kem::gen_keypair_with_rng(&mut Adapter(rng));
    (Zeroizing::new(private.to_bytes().to_vec()), Bytes(public.to_bytes().to_vec()))
}

/// The public half of a private key.
///
/// # Errors
/// [`Refusal::Internal`] for bytes that are no key.
pub fn public(private: &[u8]) -> Result<Bytes, Refusal> {
    let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(private).map_err(|_| Refusal::Internal)?;
    Ok(Bytes(Kem::sk_to_pk(&private).to_bytes().to_vec()))
}

/// Seals `plaintext` to `public`: (encapsulated key, ciphertext).
///
/// # Errors
/// [`Refusal::Internal`] if the public key is no X25519 key.
pub fn seal(public: &[u8], aad: &[u8], plaintext: &[u8], rng: &dyn Rng) -> Result<(Bytes, Bytes), Refusal> {
    let public = <Kem as hpke::Kem>::PublicKey::from_bytes(public).map_err(|_| Refusal::Internal)?;
    let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
        &OpModeS::Base,
        &public,
        INFO,
        plaintext,
        aad,
        &mut Adapter(rng),
    )
    .map_err(|_| Refusal::Internal)?;
    Ok((Bytes(enc.to_bytes().to_vec()), Bytes(ciphertext)))
}

/// Opens what [`seal`] made for the owner of `private`.
///
/// # Errors
/// [`Refusal::OfficeRefused`] if it does not open.
pub fn open(private: &[u8], enc: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(private).map_err(|_| Refusal::Internal)?;
    let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc).map_err(|_| Refusal::OfficeRefused)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, Kem>(&OpModeR::Base, &private, &enc, INFO, ciphertext, aad)
        .map(Zeroizing::new)
        .map_err(|_| Refusal::OfficeRefused)
}
