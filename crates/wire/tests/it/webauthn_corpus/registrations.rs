//! Registrations.

use super::{
    CHALLENGE, Case, HONEST, ORIGIN, PADDING, RP_ID, SIMPLE, WEBAUTHN_RS, World, authenticator_data, case, client,
    client_changes,
};
use hufu_wire::cose::{self, Writer};
use hufu_wire::webauthn::{AssertionError as E, Flags, Registration};

type Row = Case<Registration>;

const KIND: &str = "webauthn.create";

const SHORT: &str = "its CBOR reader takes a byte string that ends before its length says";

pub fn table(world: &World) -> Vec<Row> {
    let mut rows = client_data(world);
    rows.extend(authenticator(world));
    rows.extend(keys(world));
    rows.extend(objects(world));
    rows
}

fn attested(id: &[u8], key: &[u8]) -> Vec<u8> {
    [&[0; 16][..], &u16::try_from(id.len()).unwrap().to_be_bytes(), id, key].concat()
}

fn honest_data(world: &World, flags: u8) -> Vec<u8> {
    authenticator_data(RP_ID, flags, 0, &attested(world.es256.credential_id(), &world.es256.key().to_cose()))
}

fn object(data: &[u8]) -> Vec<u8> {
    let mut out = Writer::default();
    out.map(3).text("fmt").text("none").text("attStmt").map(0).text("authData").bytes(data);
    out.0
}

fn registration(client: &str, object: Vec<u8>) -> Registration {
    Registration { client_data_json: client.as_bytes().into(), attestation_object: object.into() }
}

fn data(name: &str, said: Result<(), E>, data: &[u8]) -> Row {
    case(name, "es256", said, registration(&client(KIND, "", ""), object(data)))
}

fn client_data(world: &World) -> Vec<Row> {
    let honest = object(&honest_data(world, HONEST | Flags::AT));
    let row = |name: &str, said, text: &str| case(name, "es256", said, registration(text, honest.clone()));
    let mut rows = vec![
        case("honest", "es256", Ok(()), world.es256.create(RP_ID, ORIGIN, &CHALLENGE)),
        row("type: get", Err(E::Type), &client("webauthn.get", "", "")),
    ];
    for (name, from, to, said) in client_changes() {
        let mut this = row(name, said, &client(KIND, from, to));
        if matches!(said, Err(E::CrossOrigin | E::TopOrigin)) {
            this = this
                .unless(SIMPLE, "does not look at crossOrigin and topOrigin of registrations; no office may be framed");
        }
        if matches!(name, "topOrigin present" | "crossOrigin: null") {
            this = this
                .unless(WEBAUTHN_RS, "does not look at topOrigin, and reads null as absent; no office may be framed");
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

fn authenticator(world: &World) -> Vec<Row> {
    let flags = |name: &str, flags: u8, said| data(name, said, &honest_data(world, flags));
    let honest = honest_data(world, HONEST | Flags::AT);
    let key = world.es256.key().to_cose();
    let id = |name: &str, len: usize, said| {
        data(name, said, &authenticator_data(RP_ID, HONEST | Flags::AT, 0, &attested(&vec![7; len], &key)))
    };
    vec![
        flags("flags: UP cleared", Flags::UV | Flags::AT, Err(E::UserPresence)),
        flags("flags: UV cleared", Flags::UP | Flags::AT, Err(E::UserVerification)),
        flags("flags: AT cleared", HONEST, Err(E::AuthenticatorData)),
        flags("flags: BE and BS set", HONEST | Flags::AT | Flags::BE | Flags::BS, Ok(())),
        flags("flags: BS without BE", HONEST | Flags::AT | Flags::BS, Err(E::BackupFlags)),
        flags("flags: ED without data", HONEST | Flags::AT | Flags::ED, Err(E::AuthenticatorData)),
        data("no attested data at all", Err(E::AuthenticatorData), &authenticator_data(RP_ID, HONEST, 0, &[])),
        data(
            "extensions: an empty map",
            Ok(()),
            &[&honest_data(world, HONEST | Flags::AT | Flags::ED)[..], &[0xa0]].concat(),
        ),
        data("one byte more", Err(E::AuthenticatorData), &[&honest[..], &[0]].concat())
            .unless(WEBAUTHN_RS, "lets bytes follow authenticator data; section 6.1 has no place for them"),
        data("cut short in the id", Err(E::AuthenticatorData), &honest[..60]),
        data("cut short in the key", Err(E::DeviceKey), &honest[..honest.len() - 1]).unless(SIMPLE, SHORT),
        data(
            "rpIdHash: another site",
            Err(E::RpId),
            &authenticator_data("attacker.test", HONEST | Flags::AT, 0, &attested(b"id", &key)),
        ),
        id("credential id: empty", 0, Err(E::CredentialId))
            .unless(WEBAUTHN_RS, "takes an empty id; section 4 asks for at least 16 bytes, and a row needs a name")
            .unless(SIMPLE, "takes an empty id; section 4 asks for at least 16 bytes, and a row needs a name"),
        id("credential id: 1023 bytes", 1023, Ok(())),
        id("credential id: 1024 bytes", 1024, Err(E::CredentialId))
            .unless(SIMPLE, "does not bound the id; section 4 says 1023 bytes")
            .unless(WEBAUTHN_RS, "bounds the id at 1024 bytes; section 4 says 1023"),
    ]
}

fn keys(world: &World) -> Vec<Row> {
    let row = |name: &str, key: &[u8], said| {
        data(name, said, &authenticator_data(RP_ID, HONEST | Flags::AT, 0, &attested(b"credential 12345", key)))
    };
    let honest = world.es256.key().to_cose();
    let point = world.es256.key().public_key().as_p256().unwrap().to_vec();
    let ec = |alg: i64, crv: i64, x: &[u8], y: &[u8]| {
        let mut out = Writer::default();
        out.map(5).pair(1, 2).pair(3, alg).pair(-1, crv).int(-2).bytes(x).int(-3).bytes(y);
        out.0
    };
    let mut extra = honest.clone();
    extra[0] += 1;
    extra.extend_from_slice(&[0x02, 0x41, 0x07]);
    let mut wide = honest.clone();
    wide.splice(1..2, [0x18, 0x01]);
    let late = "reads the COSE_Key, but does not use it before the first assertion; we refuse the key at once";
    let eddsa = cose::encode_key(&world.eddsa.public().key).unwrap();
    let mut small = Writer::default();
    small.map(4).pair(1, 1).pair(3, -8).pair(-1, 6).int(-2).bytes(&[0; 32]);
    vec![
        row("key: EdDSA", &eddsa, Ok(())).unless(WEBAUTHN_RS, "0.6.2 has no EdDSA"),
        row("key: EdDSA of small order", &small.0, Err(E::DeviceKey)).unless(SIMPLE, late),
        row("key: off the curve", &ec(-7, 1, &[1; 32], &[1; 32]), Err(E::DeviceKey)).unless(SIMPLE, late),
        row("key: y of 31 bytes", &ec(-7, 1, &point[1..33], &point[33..64]), Err(E::DeviceKey)).unless(SIMPLE, late),
        row("key: ES384's number", &ec(-35, 2, &[1; 48], &[1; 48]), Err(E::DeviceKey)),
        row("key: ES256 on another curve", &ec(-7, 2, &point[1..33], &point[33..]), Err(E::DeviceKey))
            .unless(SIMPLE, late),
        row("key: a further member", &extra, Err(E::DeviceKey))
            .unless(SIMPLE, "ignores further members; section 6.5.1.1 forbids them")
            .unless(WEBAUTHN_RS, "ignores further members; section 6.5.1.1 forbids them"),
        row("key: a longer integer than needed", &wide, Err(E::DeviceKey))
            .unless(WEBAUTHN_RS, "reads the CBOR leniently; canonical form is what CTAP 2 demands"),
        row("key: no map", &[0x01], Err(E::DeviceKey)),
        row("key: an empty map", &[0xa0], Err(E::DeviceKey)),
    ]
}

fn objects(world: &World) -> Vec<Row> {
    let data = honest_data(world, HONEST | Flags::AT);
    let row =
        |name: &str, said, object: Vec<u8>| case(name, "es256", said, registration(&client(KIND, "", ""), object));
    let write = |fill: &dyn Fn(&mut Writer)| {
        let mut out = Writer::default();
        fill(&mut out);
        out.0
    };
    let unproven = "checks the attestation; we read any format and believe none (a key's worth comes from who adds it)";
    let lenient = "reads the CBOR leniently; canonical form is what CTAP 2 demands";
    let honest = object(&data);
    let refused = Err(E::AttestationObject);
    vec![
        row(
            "format: unknown",
            Ok(()),
            write(&|out| {
                out.map(3).text("fmt").text("x").text("attStmt").map(0).text("authData").bytes(&data);
            }),
        )
        .unless(SIMPLE, unproven)
        .unless(WEBAUTHN_RS, unproven),
        row(
            "format: packed with a false signature",
            Ok(()),
            write(&|out| {
                out.map(3)
                    .text("fmt")
                    .text("packed")
                    .text("attStmt")
                    .map(2)
                    .text("alg")
                    .int(-7)
                    .text("sig")
                    .bytes(&[1; 70]);
                out.text("authData").bytes(&data);
            }),
        )
        .unless(SIMPLE, unproven)
        .unless(WEBAUTHN_RS, unproven),
        row(
            "format: none with a statement",
            refused,
            write(&|out| {
                out.map(3)
                    .text("fmt")
                    .text("none")
                    .text("attStmt")
                    .map(1)
                    .text("a")
                    .int(1)
                    .text("authData")
                    .bytes(&data);
            }),
        )
        .unless(WEBAUTHN_RS, "does not look at the statement of none; section 8.7 says it is empty"),
        row(
            "object: members in another order",
            Ok(()),
            write(&|out| {
                out.map(3).text("authData").bytes(&data).text("fmt").text("none").text("attStmt").map(0);
            }),
        ),
        row(
            "object: no attStmt",
            refused,
            write(&|out| {
                out.map(2).text("fmt").text("none").text("authData").bytes(&data);
            }),
        ),
        row(
            "object: authData twice",
            refused,
            write(&|out| {
                out.map(4).text("fmt").text("none").text("attStmt").map(0).text("authData").bytes(&data);
                out.text("authData").bytes(&data);
            }),
        ),
        row(
            "object: authData as text",
            refused,
            write(&|out| {
                out.map(3).text("fmt").text("none").text("attStmt").map(0).text("authData").text("x");
            }),
        ),
        row(
            "object: a further member",
            refused,
            write(&|out| {
                out.map(4)
                    .text("fmt")
                    .text("none")
                    .text("attStmt")
                    .map(0)
                    .text("authData")
                    .bytes(&data)
                    .text("x")
                    .int(1);
            }),
        )
        .unless(SIMPLE, lenient)
        .unless(WEBAUTHN_RS, lenient),
        row("object: a byte after it", refused, [&honest[..], &[0]].concat()).unless(SIMPLE, lenient),
        row("object: cut short", refused, honest[..honest.len() - 1].to_vec()).unless(SIMPLE, SHORT),
        row("object: empty", refused, vec![]),
        row("object: a list", refused, vec![0x80]),
        row("object: a length above the input", refused, vec![0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ]
}
