use super::*;
use crate::deployment::office_file::OfficeFile;
use crate::deployment::world_file::WorldFile;
use std::collections::BTreeSet;

/// One operator for all but post, and a second key for orders.
pub fn draft(root: Root) -> Draft {
    let operator = |byte, offices: &[&str]| DraftOperator {
        key: Octets([byte; 32]),
        offices: offices.iter().map(|name| (*name).to_owned()).collect(),
        host: None,
        listen: None,
    };
    let operators =
        BTreeMap::from([("operator-1".to_owned(), operator(1, &OFFICES)), ("operator-2".to_owned(), operator(2, &[]))]);
    let host = (root == Root::Production).then(|| "id.example".to_owned());
    Draft { root, root_id: Octets([7; 16]), host, port: 8420, operators }
}

fn all(root: Root) -> Vec<(String, String)> {
    let draft = draft(root);
    OFFICES.into_iter().chain([WALLET]).map(|name| (name.to_owned(), draft.office_text(name))).collect()
}

/// Table and key of every line of a generated file, commented out or not, and whether a comment stands before it.
fn documented(text: &str) -> BTreeMap<(String, String), bool> {
    let (mut table, mut found, mut explained) = (String::new(), BTreeMap::new(), false);
    for line in text.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name.to_owned();
            continue;
        }
        let word = |key: &&str| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && !key.is_empty();
        match bare.split_once(" = ").map(|(key, _)| key).filter(word) {
            Some(key) => {
                found.insert((table.clone(), key.to_owned()), explained);
                explained = false;
            }
            None => explained = line.starts_with("# "),
        }
    }
    found
}

/// The keys that a parser names when it refuses a key in this table.
fn known(text: &str, table: &str) -> BTreeSet<String> {
    let bad = match table {
        "" => format!("misspelt = 1\n{text}"),
        table if text.contains(&format!("\n[{table}]")) => {
            text.replacen(&format!("\n[{table}]"), &format!("\n[{table}]\nmisspelt = 1"), 1)
        }
        table => format!("{text}\n[{table}]\nmisspelt = 1\n"),
    };
    let refused = OfficeFile::parse(&bad).unwrap_err();
    assert!(refused.contains("unknown field `misspelt`") && refused.contains("line"), "{table}: {refused}");
    let (_, list) = refused.split_once("expected").unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_generated_file_is_read_back() {
    for root in [Root::Sandbox, Root::Production] {
        for (name, text) in all(root) {
            let file = OfficeFile::parse(&text).unwrap_or_else(|told| panic!("{name}: {told}"));
            assert_eq!(file.office, name);
        }
    }
    WorldFile::parse(&draft(Root::Sandbox).world_text()).unwrap();
}

#[test]
fn every_key_of_the_configuration_stands_in_a_file_with_a_comment_and_a_misspelt_one_is_refused_by_name() {
    let mut standing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in all(Root::Sandbox) {
        for ((table, key), explained) in documented(&text) {
            assert!(explained, "{name}: [{table}] {key} has no comment");
            assert!(known(&text, &table).contains(&key), "{name}: [{table}] {key} is not a key");
            standing.entry(table).or_default().insert(key);
        }
    }
    let (_, text) = &all(Root::Sandbox)[0];
    let tables: BTreeSet<String> = standing.keys().filter(|table| !table.is_empty()).cloned().collect();
    for (table, keys) in &mut standing {
        if table.is_empty() {
            keys.extend(tables.clone());
        }
        assert_eq!(*keys, known(text, table), "[{table}]");
    }
}

/// The text with these keys of a table, and the table, no longer commented out.
fn taken(text: &str, table: &str, keys: &[&str]) -> String {
    let mut at = String::new();
    let mut taken = String::new();
    for line in text.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            at = name.to_owned();
        }
        let meant = at == table
            && (bare == format!("[{table}]") || keys.iter().any(|key| bare.starts_with(&format!("{key} = "))));
        taken.push_str(if meant { bare } else { line });
        taken.push('\n');
    }
    taken
}

#[test]
fn every_line_that_is_commented_out_is_taken_when_it_is_not() {
    for (name, text) in all(Root::Sandbox) {
        for ((table, key), _) in documented(&text) {
            let with: &[&str] = match key.as_str() {
                _ if table == "mtls" => &["url", "listen", "certificate", "key", "authorities"],
                "ca" => &["url", "ca"],
                "every_s" => &["endpoint", "every_s"],
                "certificate" | "key" => &["certificate", "key"],
                "password_file" | "password_env" | "url" if table == "store" => &[],
                key => &[key],
            };
            let taken = taken(&text, &table, with);
            OfficeFile::parse(&taken).unwrap_or_else(|told| panic!("{name} [{table}] {key}: {told}"));
        }
        let postgres =
            taken(&text, "store", &["kind", "url", "password_file"]).replacen("\"sqlite\"", "\"postgres\"", 1);
        OfficeFile::parse(&postgres).unwrap_or_else(|told| panic!("{name}: {told}"));
    }
}

#[test]
fn limits_are_on_where_nothing_is_said_and_off_where_that_is_said() {
    use crate::deployment::office_file::UNLIMITED;
    use hufu_web::addresses::AddressLimits;
    for (name, text) in all(Root::Sandbox) {
        let limits = OfficeFile::parse(&text).unwrap().limits;
        let (addresses, callers) = (limits.of_addresses(), limits.of_callers());
        assert!(addresses.start.unwrap().every > addresses.wallet.unwrap().every, "beginning costs more");
        assert!(
            addresses.at_once.unwrap() < limits.connections && callers.client.is_some() && callers.handle.is_some()
        );
        let without =
            OfficeFile::parse(&format!("{text}{UNLIMITED}")).unwrap_or_else(|told| panic!("{name}: {told}")).limits;
        assert_eq!((without.of_addresses(), without.of_callers()), (AddressLimits::default(), Default::default()));
    }
}

#[test]
fn a_table_that_an_office_has_no_use_for_is_refused() {
    let (_, text) = &all(Root::Production)[3];
    let refused = OfficeFile::parse(&format!("{text}\n[store]\nkind = \"sqlite\"\n")).unwrap_err();
    assert!(refused.contains("tagger-1 has no use for it"), "{refused}");
    let refused = OfficeFile::parse(&text.replace("office = \"tagger-1\"", "office = \"tagger-4\"")).unwrap_err();
    assert!(refused.contains("tagger-4"), "{refused}");
}

#[test]
fn each_listener_says_for_itself_whether_it_sees_addresses_also_beside_a_certificate() {
    let text = draft(Root::Sandbox).office_text("front");
    let read = |more: &str| {
        let public = text.replacen("[public]\n", &format!("[public]\n{more}\n"), 1);
        let public = OfficeFile::parse(&public).unwrap_or_else(|told| panic!("{more}: {told}")).public.unwrap();
        public.hides_addresses()
    };
    assert!(!read("certificate = \"a.pem\"\nkey = \"k.pem\""));
    assert!(read("certificate = \"a.pem\"\nkey = \"k.pem\"\naddresses_hidden = true"));
    assert!(read("behind_proxy = true") && !read(""));
    let mtls = "[mtls]\nurl = \"https://mtls.example\"\nlisten = \"127.0.0.1:1\"\ncertificate = \"a.pem\"\nkey = \"k.pem\"\n\
                authorities = \"b.pem\"\n";
    for (more, hidden) in [("", false), ("addresses_hidden = true", true)] {
        let file = text.replacen("[public]\n", &format!("{mtls}{more}\n[public]\nbehind_proxy = true\n"), 1);
        let file = OfficeFile::parse(&file).unwrap_or_else(|told| panic!("{more}: {told}"));
        // A proxy before the one says nothing of the other, which no proxy can stand before.
        assert_eq!((file.mtls.unwrap().addresses_hidden, file.public.unwrap().hides_addresses()), (hidden, true));
    }
}

#[test]
fn plain_http_beyond_this_machine_must_be_asked_for() {
    let text = draft(Root::Sandbox).office_text("node-1");
    let far = text.replacen(
        "[public]\n# Address and port.\nlisten = \"127.0.0.1",
        "[public]\n# Address and port.\nlisten = \"0.0.0.0",
        1,
    );
    assert_ne!(text, far);
    assert!(OfficeFile::parse(&far).unwrap_err().contains("behind_proxy"));
}
