//! One record of comma-separated fields, as Docker's flags take them: a field may be in double quotes, a doubled quote
//! inside stands for one.

use super::BadValue;

/// Splits a record into its fields.
pub(crate) fn fields(record: &str) -> Result<Vec<String>, BadValue> {
    let mut fields = Vec::new();
    let mut rest = record;
    loop {
        let (field, after) = if let Some(text) = rest.strip_prefix('"') {
            quoted(text)?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(BadValue::new(format!("`{after}` follows a closing quote"))),
        }
    }
}

fn quoted(text: &str) -> Result<(String, &str), BadValue> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest
            .find('"')
            .ok_or_else(|| BadValue::new(format!("a quote is not closed in `{text}`")))?;
        field += &rest[..end];
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Ok((field, rest)),
        }
    }
}

/// Splits a record of `key=value` fields; keys are in lower case.
pub(crate) fn pairs(record: &str) -> Result<Vec<(String, String)>, BadValue> {
    fields(record)?
        .into_iter()
        .map(|field| match field.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok((key.trim().to_lowercase(), value.to_owned()))
            }
            _ => Err(BadValue::new(format!(
                "`{field}` must be written `key=value`"
            ))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_and_unquoted() {
        for (record, expected) in [
            ("", vec![""]),
            ("a", vec!["a"]),
            ("a=1,b=2", vec!["a=1", "b=2"]),
            ("\"name=x,y\",b", vec!["name=x,y", "b"]),
            ("\"a\"\"b\"", vec!["a\"b"]),
            ("a,", vec!["a", ""]),
        ] {
            assert_eq!(fields(record).expect("a record"), expected, "{record}");
        }
        assert!(fields("\"a").is_err());
        assert!(fields("\"a\"b").is_err());
    }

    #[test]
    fn pairs_need_a_key() {
        assert_eq!(
            pairs("Type=oci,dest=a=b").expect("pairs"),
            [
                ("type".to_owned(), "oci".to_owned()),
                ("dest".to_owned(), "a=b".to_owned())
            ]
        );
        assert!(pairs("type").is_err());
        assert!(pairs("=x").is_err());
    }
}
