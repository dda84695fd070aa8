//! The floors of `hufu bench sign-in`: a bare hyper server that answers as many requests as a sign-in has and makes the same
//! calls of cryptography, and nothing else. One JSON line says where it answers; it ends with its standard input or by SIGTERM.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use aws_lc_rs::{digest, hmac};
use http_body_util::{BodyExt as _, Full};
use hufu_kernel::{BothPartials, Bytes, Element, NodeIndex, OsRng, random};
use hufu_pairwise::{
    Intl, Nonces, OwnKeys, Signer, combine, commitment, deal_group_key, ep, evaluate_both, evaluate_both_keeping,
    sector_point, sub, sub_key, verify_both,
};
use hufu_wire::jose::{Alg, PublicKey};
use hyper::{Request, Response, body::Bytes as Body, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::rc::Rc;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Point = <Intl as hufu_pairwise::Group>::Point;
const MESSAGE: [u8; 600] = [b'm'; 600];
const CERTIFICATE: [u8; 1500] = [b'c'; 1500];

struct Floor {
    es256: (PublicKey, Vec<u8>),
    ed25519: (PublicKey, Ed25519KeyPair, Vec<u8>),
    seal: hmac::Key,
    shared: hmac::Key,
    row: (LessSafeKey, Vec<u8>),
    signer: Signer,
    peer: (BothPartials, [Element; 2], Bytes),
    sector: Point,
    begun: RefCell<Vec<(Nonces, Bytes, Point, Point)>>,
}

impl Floor {
    fn new() -> Result<Self, Failure> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref())?;
        let es256 = p256.sign(&SystemRandom::new(), &MESSAGE)?.as_ref().to_vec();
        let ed = Ed25519KeyPair::from_seed_unchecked(&random::<32>(&OsRng))?;
        let signed = ed.sign(&MESSAGE).as_ref().to_vec();
        let group = deal_group_key(&OsRng)?;
        let [one, two] = [Signer::from_share(&group.shares[0])?, Signer::from_share(&group.shares[1])?];
        let sector = sector_point::<Intl>("https://floor.example");
        let [x, y] = [sub_key::<Intl>(&random(&OsRng), None)?, sub_key::<Intl>(&random(&OsRng), None)?];
        let evaluation = evaluate_both::<Intl>(&x, &y, &sector, &OsRng);
        let row = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[1; 32])?);
        let mut sealed = vec![b'r'; 330];
        row.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut sealed)?;
        Ok(Self {
            es256: (PublicKey::p256(p256.public_key().as_ref().try_into()?)?, es256),
            ed25519: (PublicKey::ed25519(ed.public_key().as_ref().try_into()?)?, ed, signed),
            seal: hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]),
            shared: hmac::Key::new(hmac::HMAC_SHA256, &[3; 32]),
            row: (row, sealed),
            peer: (evaluation, [commitment::<Intl>(&x), commitment::<Intl>(&y)], two.commit(&OsRng)?.1),
            signer: one,
            sector,
            begun: RefCell::default(),
        })
    }

    /// The calls of one request; the length of the answer, which is ours.
    fn answer(&self, path: &str) -> Result<usize, Failure> {
        let es256 = || self.es256.0.verify(Alg::ES256, &MESSAGE, &self.es256.1);
        match path {
            // Client assertion and proof of possession; the request is sealed.
            "/par" => (es256()?, es256()?, self.sealed(1000)?, Ok(1500)).3,
            // The request is opened.
            "/authorize" => self.sealed(1000).map(|()| 0),
            // The transaction is signed for the wallet.
            "/tx" => Ok(2500 + self.ed25519.1.sign(&CERTIFICATE).as_ref().len()),
            // The result's signature; the code is sealed.
            "/complete" => {
                (self.ed25519.0.verify(Alg::EdDSA, &MESSAGE, &self.ed25519.2)?, self.sealed(1200)?, Ok(1900)).2
            }
            // The code opened, client assertion, proof of possession, access token sealed.
            "/token" => (self.sealed(1200)?, es256()?, es256()?, self.sealed(900)?, Ok(2400)).4,
            // The device's assertion.
            "/begin" => (es256()?, self.begin()?, Ok(700)).2,
            _ => self.finish().map(|()| 800),
        }
    }

    /// A message key and one pass of the cipher: what sealing and opening cost alike.
    fn sealed(&self, length: usize) -> Result<(), Failure> {
        let key = hmac::sign(&self.seal, &[0; 16]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref())?);
        let mut body = vec![b's'; length];
        Ok(key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut body)?)
    }

    /// Round 1 at a node: the row opened, sub-keys, both evaluations with their proof, signing nonces, the row's state.
    fn begin(&self) -> Result<(), Failure> {
        let _ = digest::digest(&digest::SHA256, &CERTIFICATE);
        self.row.0.open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut self.row.1.clone())?;
        // The two nodes of a pair serve one subset and two; a floor takes one at each.
        let prf = || <[u8; 32]>::try_from(hmac::sign(&self.shared, &MESSAGE[..64]).as_ref());
        let [x, y] = [sub_key::<Intl>(&prf()?, None)?, sub_key::<Intl>(&prf()?, None)?];
        let [c1, c2] = &self.peer.1;
        let keys = OwnKeys { pseudonym: &x, epoch: &y, committed: [&[c1], &[c2]] };
        let (_, [pseudonym, epoch]) = evaluate_both_keeping::<Intl>(&keys, &self.sector, &OsRng);
        let (nonces, sent) = self.signer.commit(&OsRng)?;
        let _ = hmac::sign(&self.shared, digest::digest(&digest::SHA256, &MESSAGE[..200]).as_ref());
        self.begun.borrow_mut().push((nonces, sent, pseudonym, epoch));
        Ok(())
    }
    /// Round 2 at a node: the peer's proof and state, both pseudonyms, the signature share.
    fn finish(&self) -> Result<(), Failure> {
        let (nonces, sent, pseudonym, epoch) = self.begun.borrow_mut().pop().ok_or("finished before begun")?;
        let _ = hmac::sign(&self.shared, &MESSAGE[..64]);
        let (evaluation, [c1, c2], commitments) = &self.peer;
        let theirs = verify_both::<Intl>(evaluation, &[c1], &[c2], &self.sector)?;
        std::hint::black_box(sub::<Intl>(&combine::<Intl>(&[pseudonym, theirs.0])?));
        std::hint::black_box(ep::<Intl>(&combine::<Intl>(&[epoch, theirs.1])?));
        let both = [(NodeIndex::ALL[0], sent), (NodeIndex::ALL[1], commitments.clone())];
        self.signer.sign(nonces, &MESSAGE, &both).map(drop).map_err(Failure::from)
    }
}

fn main() -> Result<(), Failure> {
    std::thread::spawn(|| {
        std::process::exit(i32::from(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).is_err()))
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(Rc::new(Floor::new()?)))
}

async fn serve(floor: Rc<Floor>) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{{\"origin\":\"http://{}\"}}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let floor = Rc::clone(&floor);
        let service = service_fn(move |request: Request<Incoming>| {
            let floor = Rc::clone(&floor);
            async move {
                let (parts, body) = request.into_parts();
                body.collect().await?;
                let length = floor.answer(parts.uri.path())?;
                Ok::<_, Failure>(Response::new(Full::new(Body::from(vec![b'x'; length]))))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::task::spawn_local(async move { drop(connection.await) });
    }
}
