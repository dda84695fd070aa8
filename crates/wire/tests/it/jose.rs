//! JOSE: the RFCs' own examples, and the attacks on verifiers that RFC 8725 lists.

use hufu_kernel::{SeededRng, Timestamp, b64};
use hufu_wire::jose::{
    Alg, Audience, Claims, Compact, Header, JoseError, Jwk, Jwks, KeyUse, MAX_JWS, NumericDate, PublicKey, Signer,
    SoftKey, assemble, sign, signing_input, signing_input_bytes, verify,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const RSA_7638: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
const OKP_8037: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const OKP_8037_PRIVATE: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const JWS_8037: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
const EC_7515: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const JWS_7515: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const ALL: [Alg; 4] = [Alg::EdDSA, Alg::ES256, Alg::PS256, Alg::RS256];

fn jwk(json: &str) -> Jwk {
    Jwk::from_json(json.as_bytes()).unwrap()
}

fn soft(alg: Alg) -> SoftKey {
    SoftKey::generate(alg, &SeededRng::new(7)).unwrap()
}

fn raw(header: &str, payload: &str, signature: &[u8]) -> String {
    assemble(&signing_input_bytes(header, payload), signature)
}

/// Signs any header text whatever it says.
fn signed(key: &SoftKey, header: &str, payload: &str) -> String {
    let input = signing_input_bytes(header, payload);
    assemble(&input, &key.sign(input.as_bytes()).unwrap())
}

#[test]
fn rfc_7638_and_rfc_8037_thumbprints() {
    assert_eq!(jwk(RSA_7638).thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(jwk(OKP_8037).thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn rfc_8037_and_rfc_7515_signatures_verify() {
    let jws = Compact::parse(JWS_8037).unwrap();
    assert_eq!(verify(&jws, &jwk(OKP_8037), &[Alg::EdDSA]).unwrap().bytes(), b"Example of Ed25519 signing");
    let jws = Compact::parse(JWS_7515).unwrap();
    let claims = Claims::read(verify(&jws, &jwk(EC_7515), &[Alg::ES256]).unwrap()).unwrap();
    assert_eq!(claims.text("iss"), Ok("joe"));
    assert_eq!(claims.date("exp"), Ok(Timestamp(1_300_819_380)));
}

#[test]
fn rfc_8037_signature_is_reproduced_from_the_private_jwk() {
    let key = SoftKey::from_private_jwk(OKP_8037_PRIVATE.as_bytes()).unwrap();
    let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    assert_eq!(assemble(input, &key.sign(input.as_bytes()).unwrap()), JWS_8037);
}

#[test]
fn what_is_signed_verifies_under_its_own_key_alone() {
    for alg in [Alg::ES256, Alg::EdDSA] {
        let key = soft(alg);
        let text = sign(&key, Header::new(alg).typ("JWT").kid("k"), &json!({"sub": "x"})).unwrap();
        let jws = Compact::parse(&text).unwrap();
        assert_eq!(jws.header().alg, alg);
        assert!(verify(&jws, key.public(), &[alg]).is_ok());
        let other = SoftKey::generate(alg, &SeededRng::new(8)).unwrap();
        assert_eq!(verify(&jws, other.public(), &[alg]), Err(JoseError::BadSignature));
    }
}

#[test]
fn none_and_hmac_headers_do_not_parse() {
    for alg in ["none", "None", "nOnE", "HS256", "HS512", "ES384", "ES256K", "", "es256"] {
        let text = raw(&json!({"alg": alg}).to_string(), "{}", b"x");
        assert_eq!(Compact::parse(&text), Err(JoseError::AlgNotAllowed), "{alg}");
    }
    for header in ["{}", r#"{"alg":null}"#, r#"{"alg":["ES256"]}"#, r#"{"alg":1}"#, "[]", "\"ES256\"", "null", ""] {
        assert!(matches!(Compact::parse(&raw(header, "{}", b"x")), Err(JoseError::Json(_))), "{header}");
    }
    // RFC 7519 section 6.1's unsecured form: an empty signature.
    assert_eq!(Compact::parse("eyJhbGciOiJub25lIn0.e30."), Err(JoseError::Compact));
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    // The classic confusion: HS256 over the RSA key's public bytes. It ends at the parser.
    let text = raw(r#"{"alg":"HS256"}"#, "{}", &[0; 32]);
    assert_eq!(Compact::parse(&text), Err(JoseError::AlgNotAllowed));
}

#[test]
fn the_header_cannot_choose_an_algorithm_the_key_or_the_caller_does_not() {
    let ec = soft(Alg::ES256);
    let ed = soft(Alg::EdDSA);
    let honest = Compact::parse(&signed(&ec, r#"{"alg":"ES256"}"#, "{}")).unwrap();
    assert_eq!(verify(&honest, ec.public(), &[Alg::EdDSA]), Err(JoseError::AlgNotAllowed));
    assert_eq!(verify(&honest, ec.public(), &[]), Err(JoseError::AlgNotAllowed));
    assert_eq!(verify(&honest, ed.public(), &ALL), Err(JoseError::KeyMismatch));
    for (alg, key) in
        [("EdDSA", EC_7515), ("ES256", OKP_8037), ("ES256", RSA_7638), ("RS256", EC_7515), ("PS256", OKP_8037)]
    {
        let jws = Compact::parse(&signed(&ec, &json!({"alg": alg}).to_string(), "{}")).unwrap();
        assert_eq!(verify(&jws, &jwk(key), &ALL), Err(JoseError::KeyMismatch), "{alg}");
    }
    // A key marked for one RSA padding is not used with the other.
    let jws = Compact::parse(&signed(&ec, r#"{"alg":"PS256"}"#, "{}")).unwrap();
    assert_eq!(verify(&jws, &jwk(RSA_7638), &ALL), Err(JoseError::KeyMismatch));
}

#[test]
fn an_encryption_key_verifies_nothing() {
    let key = soft(Alg::ES256);
    let jws = Compact::parse(&signed(&key, r#"{"alg":"ES256"}"#, "{}")).unwrap();
    let marked = Jwk { key_use: Some(KeyUse::Enc), ..key.public().clone() };
    assert_eq!(verify(&jws, &marked, &ALL), Err(JoseError::KeyMismatch));
}

#[test]
fn keys_named_by_the_header_are_never_trusted() {
    let trusted = soft(Alg::ES256);
    let attacker = SoftKey::generate(Alg::ES256, &SeededRng::new(66)).unwrap();
    for member in [
        json!({"jwk": attacker.public()}),
        json!({"jku": "https://attacker.example/jwks"}),
        json!({"x5u": "https://attacker.example/cert"}),
        json!({"kid": trusted.kid(), "jwk": attacker.public()}),
    ] {
        let mut header = json!({"alg": "ES256"});
        header.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        let jws = Compact::parse(&signed(&attacker, &header.to_string(), "{}")).unwrap();
        assert_eq!(verify(&jws, trusted.public(), &ALL), Err(JoseError::BadSignature));
        let set = Jwks { keys: vec![trusted.public().clone()] };
        assert!(set.verify(&jws, &ALL).is_err());
    }
}

#[test]
fn critical_and_unencoded_extensions_are_refused() {
    let key = soft(Alg::ES256);
    for (header, name) in [
        (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, "crit"),
        (r#"{"alg":"ES256","crit":[]}"#, "crit"),
        (r#"{"alg":"ES256","b64":false,"crit":["b64"]}"#, "crit"),
        (r#"{"alg":"ES256","b64":true}"#, "b64"),
    ] {
        assert_eq!(Compact::parse(&signed(&key, header, "{}")), Err(JoseError::Extension(name)));
    }
}

#[test]
fn duplicate_members_are_refused_in_header_payload_and_key() {
    let key = soft(Alg::ES256);
    let text = signed(&key, r#"{"alg":"ES256","alg":"EdDSA"}"#, "{}");
    assert!(matches!(Compact::parse(&text), Err(JoseError::Json(_))));
    let jws = Compact::parse(&signed(&key, r#"{"alg":"ES256"}"#, r#"{"sub":"a","sub":"b"}"#)).unwrap();
    let payload = verify(&jws, key.public(), &ALL).unwrap();
    assert!(payload.json::<Value>().is_err());
    assert!(Claims::read(payload).is_err());
    assert!(Jwk::from_json(OKP_8037.replace('{', r#"{"kty":"EC","#).as_bytes()).is_err());
}

#[test]
fn base64url_has_one_spelling() {
    let (input, signature) = JWS_8037.rsplit_once('.').unwrap();
    for bad in [
        format!("{JWS_8037}="),
        format!("{JWS_8037}\n"),
        format!(" {JWS_8037}"),
        format!("{JWS_8037}."),
        input.to_owned(),
        format!("{input}.{}", signature.replace('_', "/")),
        // The last character's unused bits set: the same bytes to a lenient decoder.
        format!("{input}.{}h", &signature[..signature.len() - 1]),
        format!(".{input}.{signature}"),
        String::new(),
        "..".into(),
        "...".into(),
    ] {
        assert!(Compact::parse(&bad).is_err(), "{bad}");
    }
    assert!(Compact::parse(&serde_json::to_string(&json!({"payload": "e30", "signatures": []})).unwrap()).is_err());
}

#[test]
fn sizes_are_bounded() {
    let long = raw(r#"{"alg":"ES256"}"#, &" ".repeat(MAX_JWS), b"x");
    assert_eq!(Compact::parse(&long), Err(JoseError::TooLarge));
    let header = format!(r#"{{"alg":"ES256","x":"{}"}}"#, "y".repeat(16 * 1024));
    assert_eq!(Compact::parse(&raw(&header, "{}", b"x")), Err(JoseError::TooLarge));
    let many = json!({"keys": vec![serde_json::from_str::<Value>(OKP_8037).unwrap(); Jwks::MAX_KEYS + 1]});
    assert_eq!(Jwks::from_json(many.to_string().as_bytes()), Err(JoseError::TooLarge));
}

#[test]
fn private_members_are_refused_where_public_keys_belong() {
    assert_eq!(Jwk::from_json(OKP_8037_PRIVATE.as_bytes()), Err(JoseError::PrivateKey));
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let mut key: Value = serde_json::from_str(RSA_7638).unwrap();
        key[member] = json!("AQAB");
        assert_eq!(Jwk::from_value(&key), Err(JoseError::PrivateKey), "{member}");
        let set = json!({"keys": [serde_json::from_str::<Value>(OKP_8037).unwrap(), key]});
        assert_eq!(Jwks::from_json(set.to_string().as_bytes()), Err(JoseError::PrivateKey));
    }
    assert!(serde_json::from_str::<Jwk>(OKP_8037_PRIVATE).is_err());
}

#[test]
fn malformed_keys_are_refused() {
    let with = |json: &str, member: &str, value: Value| {
        let mut key: Value = serde_json::from_str(json).unwrap();
        key[member] = value;
        Jwk::from_value(&key)
    };
    let zeros = b64(&[0; 32]);
    assert!(with(EC_7515, "x", json!(zeros)).is_err(), "off the curve");
    assert!(with(EC_7515, "y", json!(b64(&[1; 31]))).is_err(), "a coordinate of 31 bytes");
    assert!(with(EC_7515, "crv", json!("P-384")).is_err());
    assert!(with(OKP_8037, "x", json!(zeros)).is_err(), "small order");
    assert!(with(OKP_8037, "crv", json!("X25519")).is_err());
    assert!(with(OKP_8037, "kty", json!("oct")).is_err());
    assert!(with(RSA_7638, "e", json!(b64(&[3]))).is_err(), "a small exponent");
    assert!(with(RSA_7638, "e", json!(b64(&[0, 1, 0, 1]))).is_err(), "a leading zero");
    assert!(with(RSA_7638, "n", json!(b64(&[0xff; 128]))).is_err(), "1024 bits");
    assert!(with(RSA_7638, "n", json!(b64(&[0xff; 1025]))).is_err(), "above 8192 bits");
    assert!(with(RSA_7638, "n", json!("")).is_err());
    assert!(with(RSA_7638, "alg", json!("HS256")).is_err());
    assert!(with(RSA_7638, "use", json!("both")).is_err());
    assert!(PublicKey::rsa(vec![], vec![]).is_err());
}

#[test]
fn unknown_members_are_ignored_and_unknown_keys_left_out() {
    let key = jwk(&OKP_8037.replace('{', r#"{"x5t":"a","ext":true,"key_ops":["verify"],"#));
    assert_eq!(key, jwk(OKP_8037));
    let other = json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"});
    let enc = json!({"kty": "OKP", "crv": "X25519", "x": "AA", "alg": "ECDH-ES"});
    let set = json!({"keys": [other, enc, serde_json::from_str::<Value>(OKP_8037).unwrap()]}).to_string();
    assert_eq!(Jwks::from_json(set.as_bytes()).unwrap().keys, vec![jwk(OKP_8037)]);
}

#[test]
fn a_key_set_selects_one_key_or_none() {
    let (a, b) =
        (soft(Alg::ES256).with_kid("a"), SoftKey::generate(Alg::ES256, &SeededRng::new(9)).unwrap().with_kid("b"));
    let set =
        Jwks { keys: vec![a.public().clone(), b.public().clone(), soft(Alg::EdDSA).with_kid("c").public().clone()] };
    assert_eq!(set.select(Some("b"), Alg::ES256), Ok(b.public()));
    assert_eq!(set.select(None, Alg::ES256), Err(JoseError::NoKey));
    assert!(set.select(None, Alg::EdDSA).is_ok());
    assert_eq!(set.select(Some("a"), Alg::EdDSA), Err(JoseError::NoKey));
    assert_eq!(set.select(Some("z"), Alg::ES256), Err(JoseError::NoKey));
    let twice = Jwks { keys: vec![a.public().clone(), b.with_kid("a").public().clone()] };
    assert_eq!(twice.select(Some("a"), Alg::ES256), Err(JoseError::NoKey));
    let written = serde_json::to_string(&set).unwrap();
    assert_eq!(Jwks::from_json(written.as_bytes()), Ok(set));
}

#[test]
fn a_private_jwk_round_trips_and_never_prints() {
    for alg in [Alg::ES256, Alg::EdDSA] {
        let key = soft(alg).with_kid("mine");
        let saved = key.to_private_jwk();
        let loaded = SoftKey::from_private_jwk(saved.as_bytes()).unwrap();
        assert_eq!(loaded.public(), key.public());
        assert_eq!(loaded.sign_deterministic(b"m"), key.sign_deterministic(b"m"));
        let secret = serde_json::from_str::<Value>(&saved).unwrap()["d"].as_str().unwrap().to_owned();
        assert!(!format!("{key:?}").contains(&secret));
        assert!(!serde_json::to_string(key.public()).unwrap().contains(&secret));
        // A foreign d, a missing d, and another algorithm.
        let mut value: Value = serde_json::from_str(&saved).unwrap();
        value["d"] = json!(b64(&[1; 32]));
        assert!(SoftKey::from_private_jwk(value.to_string().as_bytes()).is_err());
        value.as_object_mut().unwrap().remove("d");
        assert!(SoftKey::from_private_jwk(value.to_string().as_bytes()).is_err());
        assert!(SoftKey::from_private_jwk(saved.replace(alg.name(), "RS256").as_bytes()).is_err());
    }
    assert!(SoftKey::generate(Alg::PS256, &SeededRng::new(1)).is_err());
}

#[cfg(feature = "native")]
#[test]
fn rsa_signs_loads_and_verifies_with_both_paddings() {
    use hufu_wire::jose::RsaKey;
    let key = RsaKey::generate(Alg::PS256).unwrap();
    let text = sign(&key, Header::new(Alg::PS256), &json!({"a": 1})).unwrap();
    let jws = Compact::parse(&text).unwrap();
    assert!(verify(&jws, key.public(), &[Alg::PS256]).is_ok());
    let pkcs1 = RsaKey::from_pkcs8(&key.to_pkcs8().unwrap(), Alg::RS256).unwrap();
    assert_eq!(pkcs1.public().thumbprint(), key.public().thumbprint());
    let text = sign(&pkcs1, Header::new(Alg::RS256), &json!({"a": 1})).unwrap();
    let jws = Compact::parse(&text).unwrap();
    assert!(verify(&jws, pkcs1.public(), &[Alg::RS256]).is_ok());
    assert_eq!(verify(&jws, key.public(), &ALL), Err(JoseError::KeyMismatch));
    // A PS256 signature under an RS256 header.
    let bare = Jwk::bare(key.public().key.clone());
    let input = signing_input_bytes(r#"{"alg":"RS256"}"#, "{}");
    let crossed = Compact::parse(&assemble(&input, &key.sign(input.as_bytes()).unwrap())).unwrap();
    assert_eq!(verify(&crossed, &bare, &ALL), Err(JoseError::BadSignature));
    assert!(RsaKey::from_pkcs8(b"junk", Alg::PS256).is_err());
    assert!(RsaKey::from_pkcs8(&key.to_pkcs8().unwrap(), Alg::ES256).is_err());
}

#[test]
fn two_signers_of_the_same_header_and_payload_sign_the_same_bytes() {
    #[derive(serde::Serialize)]
    struct Token {
        iss: &'static str,
        aud: Audience,
        iat: NumericDate,
    }
    let token = Token { iss: "https://i", aud: Audience(vec!["c".into()]), iat: NumericDate(Timestamp(5)) };
    let header = Header::new(Alg::EdDSA).typ("JWT").kid("nodes");
    let input = signing_input(&header, &token).unwrap();
    let by_bytes =
        signing_input_bytes(r#"{"alg":"EdDSA","typ":"JWT","kid":"nodes"}"#, r#"{"iss":"https://i","aud":"c","iat":5}"#);
    assert_eq!(input, by_bytes);
}

#[test]
fn typ_is_compared_as_a_media_type() {
    let header = |typ: &str| Header::new(Alg::ES256).typ(typ);
    assert!(header("dpop+jwt").is_typ("dpop+jwt"));
    assert!(header("application/DPoP+JWT").is_typ("dpop+jwt"));
    assert!(!header("JWT").is_typ("dpop+jwt"));
    assert!(!header("application/x/dpop+jwt").is_typ("dpop+jwt"));
    assert!(!Header::new(Alg::ES256).is_typ("JWT"));
}

#[test]
fn claims_of_other_types_are_refused() {
    let claims = |text: &str| {
        let key = soft(Alg::EdDSA);
        let jws = Compact::parse(&signed(&key, r#"{"alg":"EdDSA"}"#, text)).unwrap();
        Claims::read(verify(&jws, key.public(), &ALL).unwrap())
    };
    assert!(claims("[]").is_err());
    let odd = claims(r#"{"iss":1,"aud":["a",2],"exp":"5","iat":-1,"nbf":1e30,"sub":null}"#).unwrap();
    assert_eq!(odd.text("iss"), Err(JoseError::Claim("iss")));
    assert_eq!(odd.aud(), Err(JoseError::Claim("aud")));
    for name in ["exp", "iat", "nbf"] {
        assert_eq!(odd.date(name), Err(JoseError::Claim(name)));
    }
    let good = claims(r#"{"aud":["a","b"],"exp":100.9,"nbf":50,"iat":50}"#).unwrap();
    assert!(good.aud().unwrap().names("b") && !good.aud().unwrap().is_only("b"));
    assert!(good.check_times(Timestamp(99), 0).is_ok());
    assert_eq!(good.check_times(Timestamp(100), 0), Err(JoseError::Claim("exp")));
    assert!(good.check_times(Timestamp(104), 5).is_ok());
    assert_eq!(good.check_times(Timestamp(49), 0), Err(JoseError::Claim("nbf")));
    assert_eq!(Claims::default().check_times(Timestamp(0), 0), Err(JoseError::Claim("exp")));
}

proptest! {
    #[test]
    fn any_change_of_one_character_is_refused(at in 0..JWS_7515.len(), new in "[A-Za-z0-9_.-]") {
        let mut changed = JWS_7515.to_owned();
        changed.replace_range(at..=at, &new);
        prop_assume!(changed != JWS_7515);
        if let Ok(jws) = Compact::parse(&changed) {
            prop_assert!(verify(&jws, &jwk(EC_7515), &ALL).is_err());
        }
    }

    #[test]
    fn whatever_parses_is_reassembled_to_itself(
        header in "\\{\"alg\":\"E(S256|dDSA)\"(,\"x_[a-z]{1,3}\":[1-9][0-9]{0,2})?\\}",
        payload: Vec<u8>,
        signature in proptest::collection::vec(any::<u8>(), 1..80),
    ) {
        let text = format!("{}.{}.{}", b64(header.as_bytes()), b64(&payload), b64(&signature));
        let jws = Compact::parse(&text).unwrap();
        prop_assert_eq!(assemble(jws.signing_input(), jws.signature()), text);
        prop_assert_eq!(jws.unverified().bytes(), payload.as_slice());
    }

    #[test]
    fn jwk_round_trips(seed: u64, kid in proptest::option::of(".{0,8}")) {
        for alg in [Alg::ES256, Alg::EdDSA] {
            let key = Jwk { kid: kid.clone(), ..SoftKey::generate(alg, &SeededRng::new(seed)).unwrap().public().clone() };
            let text = serde_json::to_string(&key).unwrap();
            prop_assert_eq!(Jwk::from_json(text.as_bytes()), Ok(key));
        }
    }
}
