//! A row's index values as one byte string, kept in the row, so that what it holds in its indexes is known without
//! another index that would have to be written with every row.

use crate::StoreError;
use hufu_kernel::framed_into;

/// Name, value, name, value, …, each framed (flows 1).
pub(crate) fn encode(values: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, value) in values {
        framed_into(&mut out, &[index.as_bytes(), value]);
    }
    out
}

/// An index name and a value.
pub(crate) type Entry<'a> = (&'a [u8], &'a [u8]);

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`StoreError::Corrupt`] for anything else.
pub(crate) fn decode(mut bytes: &[u8]) -> Result<Vec<Entry<'_>>, StoreError> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let pair = next_part(bytes).and_then(|(index, rest)| Some((index, next_part(rest)?)));
        let Some((index, (value, rest))) = pair else {
            return Err(StoreError::corrupt("a row's index values do not parse"));
        };
        values.push((index, value));
        bytes = rest;
    }
    Ok(values)
}

/// The first framed part and what follows it.
pub(crate) fn next_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_come_back(values: Vec<Vec<u8>>) {
            let named: Vec<_> = values.into_iter().map(|value| ("name", value)).collect();
            let bytes = encode(&named);
            let expected: Vec<_> = named.iter().map(|(index, value)| (index.as_bytes(), value.as_slice())).collect();
            prop_assert_eq!(decode(&bytes).unwrap(), expected);
        }
    }

    #[test]
    fn any_bytes_are_values_or_corrupt() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Ok(values) = decode(bytes) {
                let length: usize = values.iter().map(|(index, value)| index.len() + value.len() + 8).sum();
                assert_eq!(length, bytes.len());
            }
        });
    }
}
