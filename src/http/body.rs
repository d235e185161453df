//! A request's body, bounded in size and time (RFC 9110 §8, RFC 9112 §6).
//!
//! A body that came with its head, as most do, costs no copy and no timer. Everything that can be refused by
//! the headers alone is refused before a byte is read, so no `100 Continue` invites it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use super::waiting::Waiting;

const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// How much of a body is read, for how long, and who waits.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits<'a> {
    /// In bytes.
    pub size: usize,
    /// From the end of the head to the end of the body.
    pub deadline: Duration,
    /// Where it waits while it is on its way.
    pub waiting: &'a Waiting,
}

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Longer than the limit.
    TooLarge,
    /// Not there by the deadline.
    Late,
    /// In a content encoding; nothing is ever inflated.
    Encoded,
    /// Not `application/x-www-form-urlencoded` in UTF-8.
    NotAForm,
    /// The client went away or broke the framing.
    Broken,
}

/// Reads a form's bytes. A request without a body needs no content type.
///
/// # Errors
/// The first limit or rule that it breaks.
pub async fn read_form(headers: &HeaderMap, body: Incoming, limits: BodyLimits<'_>) -> Result<Bytes, BodyError> {
    check_encoding(headers)?;
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match declared {
        Some(length) if length > limits.size as u64 => return Err(BodyError::TooLarge),
        Some(_) => {}
        // Whatever came with a transfer coding has no length any more: hyper drops it (RFC 9112 §6.3).
        None => check_transfer_coding(headers)?,
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    check_form(headers)?;
    in_time(pin!(collect(body, limits.size)), limits).await
}

/// What reading a body comes to, within the bounds of those that are still on their way.
///
/// # Errors
/// When it is late, or has to give way; or as it comes to.
pub async fn in_time<T>(
    mut reading: Pin<&mut impl Future<Output = Result<T, BodyError>>>,
    limits: BodyLimits<'_>,
) -> Result<T, BodyError> {
    // Nearly always ready at once: only a body that is still on its way gets a timer.
    let now = poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await;
    match now {
        Poll::Ready(read) => read,
        Poll::Pending => {
            let mut place = limits.waiting.enter();
            tokio::select! {
                // What has come counts, however late we look at it.
                biased;
                read = reading => read,
                () = patience(limits.deadline) => Err(BodyError::Late),
                () = place.taken() => Err(BodyError::Late),
            }
        }
    }
}

/// Waits for so long, in quarters: a pause of the whole process ends one of them and not all, so that nobody is late
/// for what we missed.
async fn patience(deadline: Duration) {
    const QUARTERS: u32 = 4;
    for _ in 0..QUARTERS {
        tokio::time::sleep(deadline / QUARTERS).await;
    }
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, BodyError> {
    let mut whole: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if whole.as_ref().map_or(0, BytesMut::len) + data.len() > limit {
            return Err(BodyError::TooLarge);
        }
        if whole.is_none() && body.is_end_stream() {
            return Ok(data);
        }
        whole.get_or_insert_default().extend_from_slice(&data);
    }
    Ok(whole.unwrap_or_default().freeze())
}

fn check_encoding(headers: &HeaderMap) -> Result<(), BodyError> {
    let plain =
        headers.get_all(CONTENT_ENCODING).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if plain { Ok(()) } else { Err(BodyError::Encoded) }
}

/// `chunked`, once, is all that hyper undoes; other codings before it would reach the form as they are.
fn check_transfer_coding(headers: &HeaderMap) -> Result<(), BodyError> {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(BodyError::Broken),
    }
}

/// Exactly one content type, the form's, with no parameter but `charset=utf-8`.
fn check_form(headers: &HeaderMap) -> Result<(), BodyError> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(BodyError::NotAForm) };
    if is_form(value.as_bytes()) { Ok(()) } else { Err(BodyError::NotAForm) }
}

/// The form's type, with no parameter but `charset=utf-8`.
pub fn is_form(value: &[u8]) -> bool {
    // As nearly all write it.
    if value == FORM {
        return true;
    }
    let mut parts = value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let is_of_type = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(FORM));
    is_of_type && parts.all(|parameter| parameter.is_empty() || is_utf8_charset(parameter))
}

fn is_utf8_charset(parameter: &[u8]) -> bool {
    let Some((name, value)) = parameter.split_at_checked(b"charset=".len()) else { return false };
    name.eq_ignore_ascii_case(b"charset=")
        && (value.eq_ignore_ascii_case(b"utf-8") || value.eq_ignore_ascii_case(b"\"utf-8\""))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(values: &[&str]) -> Result<(), BodyError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
        }
        check_form(&headers)
    }

    #[test]
    fn t030_takes_the_form_type_in_any_case_and_with_utf_8() {
        for value in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-Urlencoded",
            "application/x-www-form-urlencoded;charset=UTF-8",
            "application/x-www-form-urlencoded ; Charset=\"utf-8\"",
            "application/x-www-form-urlencoded;",
        ] {
            assert_eq!(check(&[value]), Ok(()), "{value}");
        }
    }

    #[test]
    fn t031_t032_t033_t034_refuses_any_other_type_charset_and_number_of_types() {
        let form = "application/x-www-form-urlencoded";
        for values in [
            &[][..],
            &[""],
            &["application/json"],
            &["text/plain"],
            &["multipart/form-data; boundary=x"],
            &["application/x-www-form-urlencoded;charset=latin1"],
            &["application/x-www-form-urlencoded;version=1"],
            &["application/x-www-form-urlencoded, application/json"],
            &[form, form],
        ] {
            assert_eq!(check(values), Err(BodyError::NotAForm), "{values:?}");
        }
    }
}
