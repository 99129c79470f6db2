import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
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
import software.amazon.awssdk.utils.ProxyConfigProvider;

/** The HTTP clients for both clouds, the proxy, and why there was no response. */
final class Network {

    /** The usual timeout of one request. */
    static final Duration REQUEST_TIMEOUT = Duration.ofSeconds(20);
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);

    /** Returns the client for this method. Java's own starts fastest, but cannot send PATCH. */
    static SdkHttpClient client(String method, URI address, Deadline deadline) {
        return method.equals("PATCH")
                ? ApacheHttpClient.builder().connectionTimeout(CONNECT_TIMEOUT).socketTimeout(deadline.timeout(REQUEST_TIMEOUT))
                        .useIdleConnectionReaper(false)
                        .proxyConfiguration(ProxyConfiguration.builder().scheme(address.getScheme()).build()).build()
                : client(deadline);
    }

    /** Returns the client that starts fastest. */
    static SdkHttpClient client(Deadline deadline) {
        return UrlConnectionHttpClient.create(address -> {
            try {
                HttpURLConnection connection = (HttpURLConnection) address.toURL().openConnection(proxy(address));
                connection.setConnectTimeout((int) CONNECT_TIMEOUT.toMillis());
                connection.setReadTimeout((int) deadline.timeout(REQUEST_TIMEOUT).toMillis());
                return connection;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }

    /** Returns the proxy that HTTPS_PROXY and NO_PROXY choose, in upper or lower case. */
    private static Proxy proxy(URI address) {
        ProxyConfigProvider proxy = ProxyConfigProvider.fromSystemEnvironmentSettings(true, true, address.getScheme());
        if (proxy == null || proxy.host() == null
                || proxy.nonProxyHosts().stream().anyMatch(address.getHost().toLowerCase(Locale.ROOT)::matches)) {
            return Proxy.NO_PROXY;
        }
        return new Proxy(Proxy.Type.HTTP, new InetSocketAddress(proxy.host(), proxy.port()));
    }

    /** Returns whether a request that got no response for this reason may get one later. */
    static boolean isRetryable(String reason) {
        return Advice.of(Advice.NO_RESPONSE, reason).equals(Advice.RUN_LATER);
    }

    /** Returns why there was no response; nothing if the network is not the reason. */
    static Optional<String> reason(Throwable e, URI address) {
        String proxy = proxy(address).address() instanceof InetSocketAddress used
                ? " through the proxy " + used.getHostString() + ":" + used.getPort() : "";
        return reason(e).map(reason -> reason + proxy);
    }

    private static Optional<String> reason(Throwable e) {
        List<Throwable> causes = Stream.iterate(e, Objects::nonNull, Throwable::getCause).toList();
        Throwable root = causes.get(causes.size() - 1);
        if (root instanceof UnknownHostException) {
            return Optional.of("unknown host");
        }
        // The SDK and Java have several exceptions for it.
        if (causes.stream().anyMatch(cause -> cause.getClass().getSimpleName().contains("Timeout"))) {
            return Optional.of("timed out");
        }
        // The SDK's own copy of Jackson.
        if (root.getClass().getSimpleName().startsWith("Json")) {
            return Optional.of("invalid JSON");
        }
        boolean isCertificate = causes.stream().anyMatch(GeneralSecurityException.class::isInstance);
        if (!isCertificate && !(root instanceof IOException)) {
            return Optional.empty(); // Its message can hold a secret, such as an illegal header value.
        }
        String text = root.getMessage() == null ? "no connection" : Secret.redact(root.getMessage());
        return Optional.of(isCertificate ? "its certificate is not trusted: " + text : text);
    }
}
