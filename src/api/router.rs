//! Every route on one screen.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{
    App, aliases, browse, catalog, deletion, domains, events, health, job_actions, jobs, keys, metrics, models,
    openapi, predict, requests, schema_guess, security,
};

/// All documented routes; a handler cannot be routed without its documentation.
pub(super) fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(domains::list, domains::create))
        .routes(routes!(domains::read, domains::put, browse::patch, deletion::domain))
        .routes(routes!(domains::versions))
        .routes(routes!(domains::version))
        .routes(routes!(domains::columns))
        .routes(routes!(browse::column))
        .routes(routes!(browse::rows))
        .routes(routes!(schema_guess::guess))
        .routes(routes!(jobs::list, jobs::create))
        .routes(routes!(jobs::read))
        .routes(routes!(job_actions::cancel_many))
        .routes(routes!(job_actions::cancel))
        .routes(routes!(job_actions::pause))
        .routes(routes!(job_actions::resume))
        .routes(routes!(job_actions::retry))
        .routes(routes!(events::events))
        .routes(routes!(events::feed))
        .routes(routes!(jobs::metrics))
        .routes(routes!(jobs::result))
        .routes(routes!(catalog::methods))
        .routes(routes!(catalog::method))
        .routes(routes!(catalog::learners))
        .routes(routes!(catalog::learner))
        .routes(routes!(models::list))
        .routes(routes!(models::read, models::patch, deletion::model))
        .routes(routes!(aliases::read, aliases::put, aliases::delete))
        .routes(routes!(predict::predict))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::read, keys::revoke))
        .routes(routes!(keys::rotate))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
}

/// The whole interface.
pub fn router(app: App) -> Router {
    let (api, _) = documented().split_for_parts();
    // The page reads the document from this server, and no validator elsewhere is asked.
    let page = SwaggerUi::new("/docs").config(Config::new(["/openapi.json"]).validator_url("none"));
    api.route("/openapi.yaml", get(openapi::yaml))
        .route("/openapi.json", get(openapi::json))
        .route("/docs/errors", get(health::errors))
        .route("/", get(health::index))
        .merge(page)
        .fallback(requests::no_route)
        .method_not_allowed_fallback(requests::no_method)
        .layer(from_fn_with_state(app.clone(), security::guard))
        .layer(CatchPanicLayer::custom(requests::panicked))
        .layer(from_fn_with_state(app.clone(), requests::track))
        .with_state(app)
}
