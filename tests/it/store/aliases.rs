//! Aliases of models, and what is said of a model, where several write.

use std::collections::BTreeMap;

use adaptd::records::{Alias, Expected, ModelChange, ModelRecord, NewAlias, Reference, TenantId};
use adaptd::store::{AliasChange, Aliases, Deletion};

use super::fixtures::{Database, databases, lease, tenant, with_model};

async fn model(db: &Database) -> ModelRecord {
    let (job, now) = (db.running().await, db.now());
    db.store.complete(lease(&job), with_model("m", now), now).await.unwrap();
    db.store.model(&tenant(), &"m".parse::<Reference<_>>().unwrap()).await.unwrap().unwrap()
}

fn live() -> Alias {
    "live".parse().unwrap()
}

fn to(db: &Database, model: &ModelRecord, version: i64) -> NewAlias {
    NewAlias { tenant: tenant(), model: model.id, alias: live(), version, at: db.now() }
}

#[test]
fn of_many_moves_from_the_same_place_one_is_made() {
    databases(|db| async move {
        let first = model(&db).await;
        let model = model(&db).await;
        assert!(model.latest_version == 2 && model.revision > first.revision);
        let AliasChange::Created(made) = db.store.put_alias(to(&db, &model, 1), Expected::Absent).await.unwrap() else {
            panic!("not made")
        };
        let seen = Expected::At(vec![made.revision]);
        let moves = (0..16).map(|_| db.store.put_alias(to(&db, &model, 2), seen.clone()));
        let moved: Vec<AliasChange> = futures::future::join_all(moves).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(moved.iter().filter(|m| matches!(m, AliasChange::Moved(_))).count(), 1, "{moved:?}");
        assert_eq!(moved.iter().filter(|m| **m == AliasChange::Stale).count(), 15, "{moved:?}");
    });
}

#[test]
fn what_is_anothers_is_neither_read_nor_moved() {
    databases(|db| async move {
        let model = model(&db).await;
        db.store.put_alias(to(&db, &model, 1), Expected::Absent).await.unwrap();
        let stranger = TenantId("somebody else".into());
        let which = Reference::Id(model.id);
        assert!(db.store.alias(&tenant(), &which, &live()).await.unwrap().is_some());
        assert_eq!(db.store.alias(&stranger, &which, &live()).await.unwrap(), None);
        let theirs = NewAlias { tenant: stranger.clone(), ..to(&db, &model, 1) };
        assert_eq!(db.store.put_alias(theirs, Expected::Present).await.unwrap(), AliasChange::Stale);
        let theirs = NewAlias { tenant: stranger.clone(), ..to(&db, &model, 1) };
        assert_eq!(db.store.put_alias(theirs, Expected::Unsaid).await.unwrap(), AliasChange::NoVersion);
        let removed = db.store.delete_alias(&stranger, (model.id, &live()), Expected::Present, db.now()).await;
        assert_eq!(removed.unwrap(), AliasChange::NoAlias);
        let change = ModelChange {
            tenant: stranger,
            model: model.id,
            of_revision: model.revision + 1,
            description: Some("ours".into()),
            labels: BTreeMap::new(),
            at: db.now(),
        };
        assert_eq!(db.store.change_model(change.clone()).await.unwrap(), None);
        let ours = db.store.change_model(ModelChange { tenant: tenant(), ..change }).await.unwrap().unwrap();
        assert_eq!((ours.description.as_deref(), ours.revision), (Some("ours"), model.revision + 2));
    });
}

#[test]
fn a_model_takes_its_aliases_with_it_only_where_they_may_go() {
    databases(|db| async move {
        let model = model(&db).await;
        db.store.put_alias(to(&db, &model, 1), Expected::Unsaid).await.unwrap();
        let ours = tenant();
        let delete_seen = |aliases, expected| db.store.delete_model(&ours, model.id, aliases, expected);
        let delete = |aliases| delete_seen(aliases, Expected::Unsaid);
        let stale = Expected::At(vec![model.revision]);
        assert_eq!(delete_seen(Aliases::Remove, stale).await.unwrap(), Deletion::Stale, "the alias came since");
        assert_eq!(delete(Aliases::Keep).await.unwrap(), Deletion::NeededByAliases(vec!["live".into()]));
        assert_eq!(delete(Aliases::Remove).await.unwrap(), Deletion::Deleted);
        assert_eq!(db.store.alias(&tenant(), &Reference::Id(model.id), &live()).await.unwrap(), None);
    });
}
