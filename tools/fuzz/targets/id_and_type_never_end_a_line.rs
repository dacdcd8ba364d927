//! Every way to build an `EventId` or an `EventType` agrees with every other, and none of them lets
//! through a CR, LF or NUL, or a byte more than the limit.

#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use fanfare::limits::{EVENT_ID_BYTES_MAX, EVENT_TYPE_BYTES_MAX};
use fanfare::sse::{EventId, EventType, FieldError};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fuzz_target!(|bytes: &[u8]| {
    check::<EventId>(bytes, EVENT_ID_BYTES_MAX, |text| EventId::new(text));
    check::<EventType>(bytes, EVENT_TYPE_BYTES_MAX, |text| EventType::new(text));
});

fn check<F>(bytes: &[u8], bytes_max: usize, new: impl Fn(&str) -> Result<F, FieldError>)
where
    F: Clone + Debug + PartialEq + Display + AsRef<str> + Into<String>,
    F: FromStr<Err = FieldError> + Serialize + DeserializeOwned,
    F: for<'t> TryFrom<&'t str, Error = FieldError> + TryFrom<String, Error = FieldError>,
    F: for<'b> TryFrom<&'b [u8], Error = FieldError>,
{
    let from_bytes = F::try_from(bytes);
    let Ok(text) = str::from_utf8(bytes) else {
        return assert!(from_bytes.is_err());
    };
    let ends_a_line = text.contains(['\r', '\n', '\0']);
    assert_eq!(from_bytes.is_ok(), text.len() <= bytes_max && !ends_a_line);
    assert_eq!(new(text), from_bytes);
    assert_eq!(text.parse::<F>(), from_bytes);
    assert_eq!(F::try_from(text), from_bytes);
    assert_eq!(F::try_from(text.to_owned()), from_bytes);
    let json = serde_json::to_string(text).expect("text is JSON");
    assert_eq!(serde_json::from_str::<F>(&json).ok(), from_bytes.clone().ok());
    match from_bytes {
        Ok(field) => {
            assert_eq!((field.as_ref(), &*field.to_string()), (text, text));
            assert_eq!(serde_json::to_string(&field).expect("text is JSON"), json);
            assert_eq!(Into::<String>::into(field), text);
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}
