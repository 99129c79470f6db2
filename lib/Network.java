import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.Authenticator;
import java.net.ConnectException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.Proxy;
import java.net.URI;
import java.net.UnknownHostException;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.http.apache.ApacheHttpClient;
import software.amazon.awssdk.http.apache.ProxyConfiguration;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;

/** The HTTP clients for both clouds, the proxy, and why there was no response. */
final class Network {

    static {
        // Java reads these once. By default it sends no password to a proxy, or sends a wrong one twenty times.
        System.setProperty("jdk.http.auth.tunneling.disabledSchemes", "");
        System.setProperty("http.maxRedirects", "2");
    }

    /** The usual timeout of one request. */
    static final Duration REQUEST_TIMEOUT = Duration.ofSeconds(20);
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);

    /** An HTTP proxy. The user and password are empty if its address has none. */
    record ProxyServer(String host, int port, String user, String password) {

        /** Reads {@code http://user:password@host:port}, of which only the host is required; nothing if it is something else. */
        static Optional<ProxyServer> of(String address) {
            try {
                URI uri = URI.create(address.contains("://") ? address : "http://" + address);
                int port = uri.getPort() < 0 ? 80 : uri.getPort();
                boolean isValid = "http".equalsIgnoreCase(uri.getScheme()) && uri.getHost() != null && port > 0 && port <= 65_535
                        && !(uri.getRawPath() + uri.getRawQuery() + uri.getRawFragment()).contains("@"); // A password was cut off.
                String[] login = (Objects.requireNonNullElse(uri.getUserInfo(), "") + ":").split(":", 2);
                return isValid ? Optional.of(new ProxyServer(uri.getHost(), port, login[0], login[1].replaceFirst(":$", "")))
                        : Optional.empty();
            } catch (IllegalArgumentException e) {
                return Optional.empty();
            }
        }

        @Override
        public String toString() {
            return host + ":" + port;
        }
    }

    /** Answers only the proxy. Java shares connections and logins only between requests with the same authenticator. */
    private static final Authenticator PROXY_LOGIN = new Authenticator() {
        @Override
        protected PasswordAuthentication getPasswordAuthentication() {
            boolean isProxy = getRequestorType() == RequestorType.PROXY;
            return ProxyServer.of(variable("HTTPS_PROXY")).filter(proxy -> isProxy && !proxy.user().isEmpty())
                    .map(proxy -> new PasswordAuthentication(proxy.user(), proxy.password().toCharArray())).orElse(null);
        }
    };

    /** Returns the client for this method. Java's own starts fastest, but cannot send PATCH. */
    static SdkHttpClient client(String method, URI address, Deadline deadline) throws IOException {
        if (!method.equals("PATCH")) {
            return client(deadline);
        }
        ProxyConfiguration.Builder configuration = ProxyConfiguration.builder().useEnvironmentVariableValues(false)
                .useSystemPropertyValues(false);
        proxy(address).ifPresent(proxy -> configuration.endpoint(URI.create("http://" + proxy)).username(proxy.user())
                .password(proxy.password()));
        return ApacheHttpClient.builder().connectionTimeout(CONNECT_TIMEOUT).socketTimeout(deadline.timeout(REQUEST_TIMEOUT))
                .useIdleConnectionReaper(false).proxyConfiguration(configuration.build()).build();
    }

    /** Returns the client that starts fastest. */
    static SdkHttpClient client(Deadline deadline) {
        return UrlConnectionHttpClient.create(address -> {
            try {
                HttpURLConnection connection = (HttpURLConnection) address.toURL().openConnection(proxy(address).map(proxy ->
                        new Proxy(Proxy.Type.HTTP, new InetSocketAddress(proxy.host(), proxy.port()))).orElse(Proxy.NO_PROXY));
                connection.setAuthenticator(PROXY_LOGIN);
                connection.setConnectTimeout((int) CONNECT_TIMEOUT.toMillis());
                connection.setReadTimeout((int) deadline.timeout(REQUEST_TIMEOUT).toMillis());
                return connection;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }

    /** Returns the proxy for an address; nothing if NO_PROXY contains it. Plain http is only for this machine. */
    private static Optional<ProxyServer> proxy(URI address) throws ConnectException {
        String value = variable("HTTPS_PROXY");
        if (value.isEmpty() || !address.getScheme().equals("https") || isDirect(address.getHost(), variable("NO_PROXY"))) {
            return Optional.empty();
        }
        return Optional.of(ProxyServer.of(value)
                .orElseThrow(() -> new ConnectException("HTTPS_PROXY is not the address of an HTTP proxy")));
    }

    /** Reads NO_PROXY as curl does: each entry is a host with all its subdomains, and a single * is every host. */
    static boolean isDirect(String host, String noProxy) {
        String name = "." + host.toLowerCase(Locale.ROOT);
        return noProxy.strip().equals("*") || Stream.of(noProxy.toLowerCase(Locale.ROOT).split("[,\\s]+"))
                .map(entry -> entry.replaceAll("^\\.|\\.$", "")).anyMatch(entry -> !entry.isEmpty() && name.endsWith("." + entry));
    }

    /** Returns a variable in lower or upper case; the empty string if it is not set. */
    private static String variable(String name) {
        return Stream.of(name.toLowerCase(Locale.ROOT), name).map(System::getenv).filter(value -> value != null && !value.isBlank())
                .findFirst().orElse("").strip();
    }

    /** Returns whether a request that got no response for this reason may get one later. */
    static boolean isRetryable(String reason) {
        return Advice.of(Advice.NO_RESPONSE, reason).endsWith("run again later");
    }

    /** Returns why there was no response; nothing if the network is not the reason. */
    static Optional<String> reason(Throwable e, URI address) {
        try {
            String proxy = proxy(address).map(used -> " through the proxy " + used).orElse("");
            return reason(e).map(reason -> reason + proxy);
        } catch (ConnectException invalidProxy) {
            return Optional.of(invalidProxy.getMessage());
        }
    }

    private static Optional<String> reason(Throwable e) {
        List<Throwable> causes = Stream.iterate(e, Objects::nonNull, Throwable::getCause).toList();
        Throwable root = causes.get(causes.size() - 1);
        String text = root.getMessage() == null ? "no connection" : Secret.redact(root.getMessage());
        if (root instanceof UnknownHostException) {
            return Optional.of("unknown host " + text.replaceFirst("[:\\s].*", "")); // Some clients append the system's error.
        }
        // The SDK and Java have several exceptions for it; Java has this one when the SDK closes a connection too early.
        if (root instanceof NullPointerException
                || causes.stream().anyMatch(cause -> cause.getClass().getSimpleName().contains("Timeout"))) {
            return Optional.of("timed out");
        }
        if (root.getClass().getSimpleName().startsWith("Json")) {
            return Optional.of("invalid JSON"); // The SDK has its own copy of Jackson.
        }
        if (causes.stream().anyMatch(GeneralSecurityException.class::isInstance)) {
            return Optional.of("its certificate is not trusted: " + text);
        }
        // Other messages can hold secrets, such as an illegal header value.
        return root instanceof IOException ? Optional.of(text) : Optional.empty();
    }
}
