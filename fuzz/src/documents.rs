//! JSON documents that are no data.

use adaptd::service::{Code, JobRequest, PredictDocument};

/// Documents that start jobs: read and checked, as far as that needs no store.
pub fn job(data: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<JobRequest>(data)
        && let Err(error) = request.check()
    {
        assert!(error.code != Code::Internal && error.cause.is_none(), "{error}");
    }
}

/// Documents of predictions: the fast reader says what the thorough one says, or nothing.
pub fn predict_document(data: &[u8]) {
    let slow = serde_json::from_slice::<PredictDocument>(data);
    if let Some(fast) = PredictDocument::scan(data) {
        let slow = slow.expect("what was scanned is a document");
        assert_eq!(format!("{:?}", fast.include()), format!("{:?}", slow.include()));
        assert_eq!(fast.into_rows().expect("scanned rows"), slow.into_rows().expect("the same rows"));
    } else if let Ok(slow) = slow {
        let _ = (slow.include(), slow.into_rows());
    }
}
