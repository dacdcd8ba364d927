//! The server as a router, to be nested in an axum app: no port, no cores, no threads of its own.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::Router;
use tokio::{runtime::Handle, sync::Semaphore};

use super::{
    ServerBuilder, StartError,
    access::Gates,
    metrics::{self, ControlCounters, Sources},
    presence,
    routes::{self, Desk, Places},
};
use crate::engine::SharedTuning;

/// As far as it is known where the app listens: not on a loopback address.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl ServerBuilder {
    /// Everything that the server answers, to be nested in an app of axum 0.8 under any path: `/events`,
    /// `/publish`, `/subscribers`, the page, the probes, `/metrics`, and the [façades](Self::facade).
    /// [Access](Self::access), [limits](Self::limits) and [heartbeats](Self::heartbeat) are as on a server;
    /// where to listen, cores, drivers, operators and the age of connections mean nothing here.
    ///
    /// [Bring a provider](Self::provider) to publish from this process. Shut it down to end the streams, each
    /// told when to come back, before the app waits for its connections to end.
    ///
    /// What differs from a server:
    /// - The app's hyper serves each subscriber, as a task of the app's runtime: a delivery costs many times
    ///   what one on a core does, and a connection some 10 KiB. There are at most
    ///   [`limits::STREAMED_SUBSCRIPTIONS_MAX`](crate::limits::STREAMED_SUBSCRIPTIONS_MAX).
    /// - How a request is read, and when a connection that takes nothing is cut, is up to the app.
    ///   A subscriber that stalls holds at most 64 KiB of messages, and lags as everywhere.
    /// - Nobody may publish over HTTP unless `access` says who: where the app listens is not known.
    /// - Bounds for each address need the client's: serve the app
    ///   [with `ConnectInfo<SocketAddr>`](Router::into_make_service_with_connect_info). Without it they bound
    ///   nobody.
    ///
    /// ```
    /// use axum::Router;
    /// use fanfare::{LocalProvider, Message, Server};
    ///
    /// let provider = LocalProvider::builder().build();
    /// let live = Server::builder().provider(provider.clone()).router()?;
    /// let app: Router = Router::new().nest("/live", live);
    /// // Whoever has subscribed to /live/events?topic=lobby gets it.
    /// provider.publish(&Message::new("doors open"), &["lobby"])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StartError`] names what is wrong. [Presence](Self::presence) is told by a task, so with it this must
    /// be called in a runtime.
    pub fn router(self) -> Result<Router, StartError> {
        self.tuning.limits.check()?;
        let tuning = SharedTuning::new(self.tuning);
        let gates = Gates::new(self.access, ANYWHERE, self.facades.has_mercure())?;
        let publisher = super::publisher(self.publisher, self.local, self.presence)?;
        let local = publisher.provider().local().cloned();
        if let Some(beside) = local.as_ref().and_then(presence::start) {
            let runtime = Handle::try_current().map_err(io::Error::other);
            runtime.map_err(StartError::Control)?.spawn(beside);
        }
        let control = Arc::new(ControlCounters::default());
        let places = Places::of(None, &tuning.get().limits);
        let sources = Sources {
            provider: local,
            cores: Vec::new(),
            control: Arc::clone(&control),
            control_permits: Arc::new(Semaphore::new(places.connections)),
            control_places: places.connections,
        };
        let registry = metrics::registry("none", "the app that it is nested in", sources);
        let gates = Arc::new(gates);
        let desk = Desk::new(publisher, control, registry, places, gates, tuning, Arc::default());
        Ok(routes::router(desk.with_facades(self.facades)))
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        extract::ConnectInfo,
        http::{Method, Request, Response, StatusCode, Version, header},
    };
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::{
        LocalProvider, Message, Server,
        server::{Access, Door, Facade, Permissions, StaticToken},
    };

    const TOKEN: &str = "an-example-of-a-static-token";

    fn app(change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (LocalProvider, Router) {
        let provider = LocalProvider::builder().build();
        let builder = change(Server::builder().provider(provider.clone()));
        (provider, Router::new().nest("/live", builder.router().unwrap()))
    }

    fn request(method: Method, target: &str) -> Request<Body> {
        Request::builder().method(method).uri(target).body(Body::from("text")).unwrap()
    }

    fn get(target: &str) -> Request<Body> {
        let mut request = request(Method::GET, target);
        *request.body_mut() = Body::empty();
        request
    }

    async fn ask(app: &Router, request: Request<Body>) -> Response<Body> {
        app.clone().oneshot(request).await.unwrap()
    }

    async fn text(answer: Response<Body>) -> String {
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_nested_router_answers_under_its_path() {
        let (provider, app) = app(|builder| builder.facade(Facade::Mercure));
        let streams = ["/live/events?topic=a", "/live/.well-known/mercure?topic=a"];
        let mut answers = Vec::new();
        for target in streams {
            let answer = ask(&app, get(target)).await;
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream", "{target}");
            answers.push(answer);
        }
        assert_eq!(provider.subscribers("a"), 2);
        provider.publish(&Message::new("doors open"), &["a"]).unwrap();
        provider.shutdown().unwrap();
        for answer in answers {
            let text = text(answer).await;
            assert!(text.contains("data: doors open\n\nretry: "), "{text}");
        }
        for (target, status) in [
            ("/live/health", StatusCode::OK),
            ("/live/ready", StatusCode::SERVICE_UNAVAILABLE),
            ("/live/nothing", StatusCode::NOT_FOUND),
            ("/events", StatusCode::NOT_FOUND),
        ] {
            assert_eq!(ask(&app, get(target)).await.status(), status, "{target}");
        }
        let page = text(ask(&app, get("/live/metrics")).await).await;
        assert!(page.contains("fanfare_messages_published_total 1\n"), "{page}");
    }

    #[tokio::test]
    async fn nobody_publishes_unless_it_is_said_who() {
        let (provider, closed) = app(|builder| builder);
        let publish = || request(Method::POST, "/live/publish?topic=a");
        assert_eq!(ask(&closed, publish()).await.status(), StatusCode::FORBIDDEN);
        assert_eq!(provider.log().head().number(), 1, "nothing is published");

        let permissions = Permissions::new(&["a"], &["a"]).unwrap();
        let access = Access::new().token(StaticToken::new(TOKEN, permissions).unwrap());
        let (provider, app) = app(|builder| builder.access(access));
        let bearer = |mut request: Request<Body>| {
            let value = format!("Bearer {TOKEN}").parse().unwrap();
            request.headers_mut().insert(header::AUTHORIZATION, value);
            request
        };
        assert_eq!(ask(&app, publish()).await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(ask(&app, bearer(publish())).await.status(), StatusCode::ACCEPTED);
        assert_eq!(provider.log().head().number(), 2);
        let subscribe = || get("/live/events?topic=a");
        assert_eq!(ask(&app, subscribe()).await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(ask(&app, bearer(subscribe())).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn an_address_is_that_of_the_apps_connection() {
        let access = Access::new().publish(Door::Open).connections_per_ip(1);
        let (_provider, app) = app(|builder| builder.access(access));
        let from = |last: u8| {
            let mut request = get("/live/events?topic=a");
            let address = SocketAddr::from(([192, 0, 2, last], 1234));
            request.extensions_mut().insert(ConnectInfo(address));
            request
        };
        let first = ask(&app, from(1)).await;
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(ask(&app, from(1)).await.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(ask(&app, from(2)).await.status(), StatusCode::OK);
        drop(first);
        assert_eq!(ask(&app, from(1)).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_stream_over_http_2_has_no_header_of_http_1() {
        let (_provider, app) = app(|builder| builder);
        for (version, has_one) in [(Version::HTTP_11, true), (Version::HTTP_2, false)] {
            let mut request = get("/live/events?topic=a");
            *request.version_mut() = version;
            let answer = ask(&app, request).await;
            assert_eq!(answer.headers().contains_key(header::CONNECTION), has_one, "{version:?}");
        }
    }

    #[test]
    fn presence_without_a_runtime_is_a_fault() {
        let fault = Server::builder().presence("who").router().unwrap_err();
        assert!(matches!(fault, StartError::Control(_)), "{fault:?}");
    }
}
