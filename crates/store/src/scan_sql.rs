//! The one statement that both SQL engines build as it is needed: a page of an index.

use crate::{Scan, Select};

/// Selects value, partition, id, version, `expires_at`, form, body, for one entry more than the page holds. `from` joins the
/// index as `i` with the rows as `r`; `also` is one column more, if any; `mark` begins the engine's numbered parameters, which are all byte strings.
pub(crate) fn page(scan: &Scan, from: &str, also: &str, mark: char) -> (String, Vec<Vec<u8>>) {
    let mut bytes: Vec<Vec<u8>> = Vec::new();
    let mut bind = |value: &[u8]| {
        bytes.push(value.to_vec());
        format!("{mark}{}", bytes.len())
    };
    let mut conditions = vec!["TRUE".to_owned()];
    let after = scan.paging.after.as_ref();
    match &scan.select {
        Select::Value(value) => conditions.push(format!("i.value = {}", bind(value))),
        Select::Range { from, until } => {
            // A cursor inside the range is the closer lower bound, and one bound lets the index begin there.
            if after.is_none_or(|cursor| cursor.value < *from) {
                conditions.push(format!("i.value >= {}", bind(from)));
            }
            conditions.extend(until.as_ref().map(|until| format!("i.value < {}", bind(until))));
        }
    }
    if let Some(cursor) = after {
        let places = [&cursor.value, &cursor.key.partition, &cursor.key.id].map(|part| bind(part));
        conditions.push(format!("(i.value, i.\"partition\", i.id) > ({})", places.join(", ")));
    }
    let sql = format!(
        "SELECT i.value, i.\"partition\", i.id, r.version, r.expires_at, r.form, r.body{also} FROM {from} WHERE {} \
         ORDER BY i.value, i.\"partition\", i.id LIMIT {}",
        conditions.join(" AND "),
        scan.paging.size() + 1,
    );
    (sql, bytes)
}
