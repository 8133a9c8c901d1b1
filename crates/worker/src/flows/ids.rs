//! The ids of destinations' flows. An id is a SHA-1, which most jobs share with those before.

use std::sync::{Mutex, PoisonError};

use foldhash::HashMap;
use http::Uri;
use postrider_queue::job::FlowId;

/// The ids that were needed lately, by scheme and then by the URL's authority.
#[derive(Debug, Default)]
pub(super) struct FlowIds(Mutex<[HashMap<Box<str>, FlowId>; 2]>);

impl FlowIds {
    /// Destinations of one scheme that are remembered. One more forgets them all.
    const DESTINATIONS_MAX: usize = 1024;
    /// Bytes of an authority. A longer one is not remembered; DNS names have up to 253.
    const BYTES_MAX: usize = 512;

    /// The flow of a destination.
    pub(super) fn of(&self, uri: &Uri) -> FlowId {
        let Some(authority) = uri.authority().filter(|own| own.as_str().len() <= Self::BYTES_MAX) else {
            return FlowId::of_destination(uri);
        };
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = &mut ids[usize::from(uri.scheme_str() == Some("https"))];
        if let Some(id) = ids.get(authority.as_str()) {
            return *id;
        }
        if ids.len() >= Self::DESTINATIONS_MAX {
            ids.clear();
        }
        let id = FlowId::of_destination(uri);
        ids.insert(authority.as_str().into(), id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_whether_it_is_remembered_or_not() {
        let ids = FlowIds::default();
        let long = format!("http://{}/", ["a"; 300].join("."));
        let urls = ["http://h/a", "http://h:80/b", "https://h/", "https://h:80/", "http://h:443/", &long];
        for url in [urls, urls].concat() {
            let uri: Uri = url.parse().unwrap();
            assert_eq!(ids.of(&uri), FlowId::of_destination(&uri), "{url}");
        }
        assert_eq!(ids.0.lock().unwrap().each_ref().map(HashMap::len), [3, 2]);
    }

    #[test]
    fn the_number_of_remembered_ids_is_limited() {
        let ids = FlowIds::default();
        for number in 0..=FlowIds::DESTINATIONS_MAX {
            let uri: Uri = format!("http://h{number}/").parse().unwrap();
            assert_eq!(ids.of(&uri), FlowId::of_destination(&uri));
        }
        assert_eq!(ids.0.lock().unwrap()[0].len(), 1);
    }
}
