//! Assertions.

use super::{
    Case, EDDSA_ID, HONEST, ORIGIN, PADDING, RP_ID, SIMPLE, WEBAUTHN_RS, World, authenticator_data, case, client,
    client_changes, signed,
};
use hufu_wire::jose::Signer;
use hufu_wire::webauthn::{Assertion, AssertionError as E, Flags};

type Row = Case<Assertion>;

const KIND: &str = "webauthn.get";

pub fn table(world: &World) -> Vec<Row> {
    let mut rows = client_data(world);
    rows.extend(flags(world));
    rows.extend(extensions(world));
    rows.extend(lengths(world));
    rows.extend(signatures(world));
    rows.extend(eddsa(world));
    rows
}

fn honest_client() -> String {
    client(KIND, "", "")
}

fn honest_data() -> Vec<u8> {
    authenticator_data(RP_ID, HONEST, 0, &[])
}

fn data(world: &World, name: &str, said: Result<(), E>, data: &[u8]) -> Row {
    case(name, "es256", said, world.es256.sign(data, honest_client().as_bytes()))
}

fn client_data(world: &World) -> Vec<Row> {
    let row =
        |name: &str, said, text: &str| case(name, "es256", said, world.es256.sign(&honest_data(), text.as_bytes()));
    let mut rows = vec![
        case("honest", "es256", Ok(()), world.es256.get(RP_ID, ORIGIN, &super::CHALLENGE)),
        row("type: create", Err(E::Type), &client("webauthn.create", "", "")),
        row("type: empty", Err(E::Type), &client("", "", "")),
        row("type: missing", Err(E::ClientData), &client(KIND, "type", "kind")),
        row("type: upper case", Err(E::Type), &client("WebAuthn.Get", "", "")),
        row("origin: upper case", Err(E::Origin), &client(KIND, "wallet", "WALLET"))
            .unless(WEBAUTHN_RS, "parses the origin as a URL; we compare bytes (flows 4: exactly the wallet's)"),
        row("origin: default port written out", Err(E::Origin), &client(KIND, ".example", ".example:443"))
            .unless(WEBAUTHN_RS, "parses the origin as a URL; we compare bytes (flows 4: exactly the wallet's)"),
        row("origin: trailing slash", Err(E::Origin), &client(KIND, ".example", ".example/"))
            .unless(WEBAUTHN_RS, "parses the origin as a URL; we compare bytes (flows 4: exactly the wallet's)"),
        row("origin: user information", Err(E::Origin), &client(KIND, "https://", "https://user@"))
            .unless(WEBAUTHN_RS, "parses the origin as a URL; we compare bytes (flows 4: exactly the wallet's)"),
    ];
    for (name, from, to, said) in client_changes() {
        let mut this = row(name, said, &client(KIND, from, to));
        if matches!(said, Err(E::CrossOrigin | E::TopOrigin)) && name != "crossOrigin: a string" {
            this = this.unless(
                WEBAUTHN_RS,
                "does not look at crossOrigin and topOrigin of assertions; no office may be framed",
            );
        }
        if matches!(name, "crossOrigin: true" | "crossOrigin: a string" | "crossOrigin: null") {
            this = this.unless(
                SIMPLE,
                "looks at crossOrigin only together with topOrigin, for Safari's sake; no office may be framed",
            );
        }
        if name == "origin twice" {
            this = this.unless(SIMPLE, "JSON.parse keeps the last of two members; two readings are two meanings");
        }
        if name == "challenge: padded" {
            this = this.unless(WEBAUTHN_RS, PADDING);
        }
        if name == "a byte order mark" {
            this = this.unless(
                SIMPLE,
                "UTF-8 decode drops a byte order mark; no browser writes one and our JSON reader has no exception",
            );
        }
        rows.push(this);
    }
    rows
}

fn flags(world: &World) -> Vec<Row> {
    let row = |name: &str, flags: u8, said| data(world, name, said, &authenticator_data(RP_ID, flags, 0, &[]));
    vec![
        row("flags: UP cleared", HONEST & !Flags::UP, Err(E::UserPresence)),
        row("flags: reserved bit 1 set", HONEST | 1 << 1, Ok(())),
        row("flags: UV cleared", HONEST & !Flags::UV, Err(E::UserVerification)),
        row("flags: BE set", HONEST | Flags::BE, Ok(())),
        row("flags: BS without BE", HONEST | Flags::BS, Err(E::BackupFlags)),
        row("flags: BE and BS set", HONEST | Flags::BE | Flags::BS, Ok(())).unless(
            WEBAUTHN_RS,
            "compares BS with the BE stored at registration; that comparison is our caller's, who holds the row",
        ),
        row("flags: reserved bit 5 set", HONEST | 1 << 5, Ok(())),
        row("flags: AT without data", HONEST | Flags::AT, Err(E::AuthenticatorData)),
        row("flags: ED without data", HONEST | Flags::ED, Err(E::AuthenticatorData)),
        row("flags: none", 0, Err(E::UserPresence)),
        data(world, "counter: 1", Ok(()), &authenticator_data(RP_ID, HONEST, 1, &[])),
        data(world, "counter: highest", Ok(()), &authenticator_data(RP_ID, HONEST, u32::MAX, &[])),
        data(world, "rpIdHash: another site", Err(E::RpId), &authenticator_data("attacker.test", HONEST, 0, &[])),
        data(world, "rpIdHash: a subdomain", Err(E::RpId), &authenticator_data("x.wallet.example", HONEST, 0, &[])),
        data(world, "rpIdHash: upper case", Err(E::RpId), &authenticator_data("WALLET.EXAMPLE", HONEST, 0, &[])),
        data(world, "rpIdHash: the origin", Err(E::RpId), &authenticator_data(ORIGIN, HONEST, 0, &[])),
    ]
}

fn extensions(world: &World) -> Vec<Row> {
    let row = |name: &str, rest: &[u8], said| {
        data(world, name, said, &authenticator_data(RP_ID, HONEST | Flags::ED, 0, rest))
    };
    let unread = "reads the CBOR leniently; nothing of an extension is used, and canonical form is what CTAP 2 demands";
    vec![
        row("extensions: an empty map", &[0xa0], Ok(())),
        row("extensions: uvm", b"\xa1\x63uvm\x81\x83\x02\x04\x02", Ok(())),
        row("extensions: a list", &[0x80], Err(E::AuthenticatorData)).unless(SIMPLE, "takes any CBOR for extensions"),
        row("extensions: a number", &[0x00], Err(E::AuthenticatorData)),
        row("extensions: cut short", b"\xa1\x63uvm", Err(E::AuthenticatorData)),
        row("extensions: indefinite length", &[0xbf, 0xff], Err(E::AuthenticatorData)).unless(WEBAUTHN_RS, unread),
        row("extensions: a key twice", b"\xa2\x61a\x01\x61a\x01", Err(E::AuthenticatorData))
            .unless(WEBAUTHN_RS, unread),
        row("extensions: a byte after the map", &[0xa0, 0], Err(E::AuthenticatorData))
            .unless(WEBAUTHN_RS, "lets bytes follow authenticator data; section 6.1 has no place for them"),
        row("extensions: nested without end", &[0x81; 200], Err(E::AuthenticatorData)),
    ]
}

fn lengths(world: &World) -> Vec<Row> {
    let honest = honest_data();
    let mut rows: Vec<Row> = [0, 1, 31, 32, 33, 36]
        .map(|len| data(world, &format!("authenticator data: {len} bytes"), Err(E::AuthenticatorData), &honest[..len]))
        .into();
    rows.push(
        data(world, "authenticator data: one byte more", Err(E::AuthenticatorData), &[&honest[..], &[0]].concat())
            .unless(WEBAUTHN_RS, "lets bytes follow authenticator data; section 6.1 has no place for them"),
    );
    let attested = [&[0; 16][..], &[0, 2], &[1, 2], &world.es256.key().to_cose()].concat();
    rows.push(
        data(
            world,
            "attested data in an assertion",
            Err(E::AuthenticatorData),
            &authenticator_data(RP_ID, HONEST | Flags::AT, 0, &attested),
        )
        .unless(WEBAUTHN_RS, "does not refuse attested data in assertions; section 6.1 forbids it")
        .unless(SIMPLE, "does not refuse attested data in assertions; section 6.1 forbids it"),
    );
    rows
}

/// Changes of the signature, and of what it covers after signing.
fn signatures(world: &World) -> Vec<Row> {
    let honest = world.es256.sign(&honest_data(), honest_client().as_bytes());
    let row = |name: &str, said, change: &dyn Fn(&mut Assertion)| {
        let mut changed = honest.clone();
        change(&mut changed);
        case(name, "es256", said, changed)
    };
    let refused = Err(E::Signature);
    let raw = p256::ecdsa::Signature::from_der(&honest.signature.0).unwrap();
    let (r, s) = (raw.r(), raw.s());
    let negated = p256::ecdsa::Signature::from_scalars(r, -*s).unwrap();
    let strict = "reads BER; we take strict DER only, so that one signature has one spelling";
    vec![
        row("signature: last bit flipped", refused, &|a| *a.signature.0.last_mut().unwrap() ^= 1),
        row("signature: empty", refused, &|a| a.signature.0.clear()),
        row("signature: r and s without DER", refused, &|a| a.signature.0 = raw.to_bytes().to_vec()),
        row("signature: a byte after the DER", refused, &|a| a.signature.0.push(0)).unless(SIMPLE, strict),
        row("signature: cut short", refused, &|a| a.signature.0.truncate(60)),
        row("signature: length in long form", refused, &|a| a.signature.0.insert(1, 0x81)).unless(SIMPLE, strict),
        row("signature: r = 0", refused, &|a| a.signature.0 = b"\x30\x06\x02\x01\x00\x02\x01\x01".to_vec()),
        row("signature: s negated", Ok(()), &|a| a.signature.0 = negated.to_der().as_bytes().to_vec()),
        row("signature: of another device", refused, &|a| {
            a.signature = world.other.sign(&a.authenticator_data.0, &a.client_data_json.0).signature;
        }),
        row("signature: over other client data", refused, &|a| {
            a.signature = world.es256.sign(&a.authenticator_data.0, b"{}").signature;
        }),
        row("signature: over the parts the other way round", refused, &|a| {
            a.signature = world.es256.sign(&a.client_data_json.0, &a.authenticator_data.0).signature;
        }),
        row("counter raised after signing", refused, &|a| a.authenticator_data.0[36] = 1),
        row("UV set after signing", refused, &|a| {
            *a = world.es256.sign(&authenticator_data(RP_ID, Flags::UP, 0, &[]), &a.client_data_json.0);
            a.authenticator_data.0[32] = HONEST;
        }),
        row("client data re-spelt after signing", refused, &|a| a.client_data_json.0.insert(0, b' ')),
    ]
}

fn eddsa(world: &World) -> Vec<Row> {
    let message = signed(&honest_data(), &honest_client());
    let honest = world.eddsa.sign(&message).unwrap();
    let row = |name: &str, said, signature: Vec<u8>| {
        let assertion = Assertion {
            credential_id: EDDSA_ID.as_slice().into(),
            authenticator_data: honest_data().into(),
            client_data_json: honest_client().into_bytes().into(),
            signature: signature.into(),
        };
        case(name, "eddsa", said, assertion)
    };
    let flipped = honest.iter().enumerate().map(|(at, byte)| if at == 3 { byte ^ 1 } else { *byte }).collect();
    vec![
        row("EdDSA: honest", Ok(()), honest.clone()).unless(WEBAUTHN_RS, "0.6.2 has no EdDSA"),
        row("EdDSA: a bit flipped", Err(E::Signature), flipped),
        row("EdDSA: one byte more", Err(E::Signature), [&honest[..], &[0]].concat()),
        row("EdDSA: cut short", Err(E::Signature), honest[..63].to_vec()),
        row("EdDSA: empty", Err(E::Signature), vec![]),
        row("EdDSA: S plus the group order", Err(E::Signature), plus_order(&honest)),
    ]
}

/// The same signature with S + L, which a verifier without the range check of RFC 8032 section 5.1.7 takes.
fn plus_order(signature: &[u8]) -> Vec<u8> {
    let mut order = [0_u8; 32];
    order[..16].copy_from_slice(&[
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    ]);
    order[31] = 0x10;
    let mut out = signature.to_vec();
    let mut carry = 0_u16;
    for (byte, add) in out[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    out
}
