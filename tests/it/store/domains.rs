//! Domains and their versions.

use adaptation::data::{Kind, Role, TaskKind};
use adaptd::records::{ColumnRecord, Cursor, DomainId, Expected, NewDomainVersion, PageRequest, Reference, TenantId};
use adaptd::store::{Deletion, Lineage, Put, StoreError};
use serde_json::json;

use super::fixtures::{Database, databases, page, tenant};

fn new_version(db: &Database, name: &str, identity: &str) -> NewDomainVersion {
    NewDomainVersion {
        tenant: tenant(),
        id: DomainId::at(db.now()),
        name: name.parse().unwrap(),
        of_version: None,
        identity: identity.into(),
        format: "csv".into(),
        n_bytes: 100,
        n_rows: 3,
        task: Some(TaskKind::Classification),
        columns: vec![ColumnRecord {
            name: "Größe".into(),
            kind: Kind::Number,
            role: Role::Feature,
            statistics: json!({"missing": 1}),
        }],
        notes: vec!["an array was skipped".into()],
        blob: "b10b".into(),
        created_at: db.now(),
    }
}

#[test]
fn a_version_is_stored_once_and_stepped_by_other_bytes() {
    databases(|db| async move {
        let put = async |identity| db.store.put_domain_version(new_version(&db, "eu", identity)).await.unwrap();
        let Put::Created(first) = put("a").await else { panic!("not created") };
        assert_eq!(first.version, 1);
        assert_eq!(put("a").await, Put::Unchanged(first.clone()));
        let Put::Created(second) = put("b").await else { panic!("not created") };
        assert_eq!((second.domain, second.version), (first.domain, 2));
        // Equal to an older version, not to the newest: a new one.
        let Put::Created(third) = put("a").await else { panic!("not created") };
        assert_eq!(third.version, 3);

        let by_name = "eu".parse().unwrap();
        let read = async |version| db.store.domain_version(&tenant(), &by_name, version).await.unwrap();
        assert_eq!(read(None).await, Some(third));
        assert_eq!(read(Some(1)).await, Some(first.clone()));
        assert_eq!(read(Some(4)).await, None);
        let domain = db.store.domain(&tenant(), &Reference::Id(first.domain)).await.unwrap().unwrap();
        assert_eq!((domain.latest_version, domain.name.as_str()), (3, "eu"));
        let stranger = TenantId("somebody else".into());
        assert_eq!(db.store.domain(&stranger, &by_name).await.unwrap(), None);
        assert_eq!(db.store.domain_version(&stranger, &by_name, None).await.unwrap(), None);
        assert_eq!(db.store.domain_versions(&stranger, first.domain, &page(9)).await.unwrap(), []);
    });
}

#[test]
fn lists_page_by_name_and_by_version() {
    databases(|db| async move {
        for name in ["c", "a", "b"] {
            db.store.put_domain_version(new_version(&db, name, "1")).await.unwrap();
        }
        let Put::Created(newest) = db.store.put_domain_version(new_version(&db, "a", "2")).await.unwrap() else {
            panic!("not created")
        };
        let names = async |after: Option<&str>, limit| {
            let page = PageRequest { after: after.map(|a| Cursor(a.into())), limit };
            let found = db.store.domains(&tenant(), &page).await.unwrap();
            found.iter().map(|d| d.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(None, 2).await, ["a", "b"]);
        assert_eq!(names(Some("b"), 2).await, ["c"]);
        assert!(names(Some("c"), 2).await.is_empty());
        let versions = async |after: Option<&str>| {
            let page = PageRequest { after: after.map(|a| Cursor(a.into())), limit: 1 };
            let found = db.store.domain_versions(&tenant(), newest.domain, &page).await?;
            Ok::<_, StoreError>(found.iter().map(|d| d.version).collect::<Vec<_>>())
        };
        assert_eq!(versions(None).await, Ok(vec![2]));
        assert_eq!(versions(Some("2")).await, Ok(vec![1]));
        assert_eq!(versions(Some("1")).await, Ok(vec![]));
        assert_eq!(versions(Some("x")).await, Err(StoreError::BadCursor));
    });
}

#[test]
fn a_version_made_of_another_needs_that_one_to_be_the_newest() {
    databases(|db| async move {
        let put = async |identity, of_version| {
            db.store.put_domain_version(NewDomainVersion { of_version, ..new_version(&db, "eu", identity) }).await
        };
        assert_eq!(put("a", Some(1)).await, Ok(Put::Stale), "of a domain that is not there");
        assert!(matches!(put("a", Some(0)).await, Ok(Put::Created(_))), "none was there");
        assert_eq!(put("b", Some(0)).await, Ok(Put::Stale), "now one is");
        assert!(matches!(put("b", Some(1)).await, Ok(Put::Created(_))));
        assert_eq!(put("c", Some(1)).await, Ok(Put::Stale));
        assert!(matches!(put("c", Some(2)).await, Ok(Put::Created(_))));
    });
}

#[test]
fn a_blob_is_named_as_long_as_a_version_names_it() {
    databases(|db| async move {
        assert!(!db.store.names_blob("b10b").await.unwrap());
        let Put::Created(version) = db.store.put_domain_version(new_version(&db, "eu", "a")).await.unwrap() else {
            panic!("not created")
        };
        assert!(db.store.names_blob("b10b").await.unwrap());
        let stranger = TenantId("somebody else".into());
        let ours = tenant();
        let delete =
            async |tenant| db.store.delete_domain(tenant, version.domain, Lineage::Keep, Expected::At(vec![1])).await;
        assert_eq!(delete(&stranger).await, Ok(Deletion::NotFound));
        let seen = async |expected| db.store.delete_domain(&ours, version.domain, Lineage::Break, expected).await;
        assert_eq!(seen(Expected::At(vec![2])).await, Ok(Deletion::Stale));
        assert_eq!(seen(Expected::Absent).await, Ok(Deletion::Stale));
        assert_eq!(delete(&ours).await, Ok(Deletion::Deleted));
        assert!(!db.store.names_blob("b10b").await.unwrap());
        assert_eq!(delete(&ours).await, Ok(Deletion::NotFound));
    });
}
