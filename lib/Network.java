import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.UnknownHostException;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.http.apache.ApacheHttpClient;
import software.amazon.awssdk.http.apache.ProxyConfiguration;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.utils.ProxyConfigProvider;

/**
 * How the clouds are reached: by the SDK's own clients, through the user's proxy, in the time of the run; and in words why there was no
 * answer, and what helps.
 */
final class Network {

    /** The reason where there was an answer, which a proxy or a portal may have made. */
    static final String ANOTHERS = "something else answered";

    /** How a reason begins that people have to do something about, with what is wrong with the certificate after it. */
    private static final String NOT_TRUSTED = "its certificate is not trusted: ";
    private static final String REFUSED = "refused with ";

    /** What helps where only time can tell. */
    private static final String LATER = "run again later";

    /** How Java says that a proxy does not let a request pass. */
    private static final Pattern REFUSED_BY_PROXY = Pattern.compile("Proxy returns \"HTTP/\\S+ (4\\d\\d)");

    /** By the scheme of the address, which decides the proxy. */
    private static final Map<String, SdkHttpClient> PATCHING = new ConcurrentHashMap<>();

    private static final int CONNECT_MILLIS = 10_000;

    private Network() {
    }

    /**
     * Returns the SDK's client that starts fastest. It connects as Java does by default, so that certificates are read but once.
     *
     * @param longest the usual limit of a read
     */
    static SdkHttpClient client(Deadline deadline, Duration longest) {
        return UrlConnectionHttpClient.create(uri -> connect(uri, (int) deadline.limit(longest).toMillis()));
    }

    private static HttpURLConnection connect(URI uri, int limitMillis) {
        try {
            HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection(proxy(uri));
            connection.setConnectTimeout(Math.min(CONNECT_MILLIS, limitMillis));
            connection.setReadTimeout(limitMillis);
            return connection;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The SDK reads the variables that all such tools know: HTTPS_PROXY, NO_PROXY, in capitals or not. */
    private static Proxy proxy(URI uri) {
        ProxyConfigProvider proxy = ProxyConfigProvider.fromSystemEnvironmentSettings(true, true, uri.getScheme());
        boolean isDirect = proxy == null || proxy.host() == null
                || proxy.nonProxyHosts().stream().anyMatch(uri.getHost().toLowerCase(Locale.ROOT)::matches);
        return isDirect ? Proxy.NO_PROXY : new Proxy(Proxy.Type.HTTP, new InetSocketAddress(proxy.host(), proxy.port()));
    }

    /** Returns the SDK's client that knows PATCH, which Java's connections do not. It is slow to start. */
    static SdkHttpClient patching(String scheme) {
        return PATCHING.computeIfAbsent(scheme, any -> ApacheHttpClient.builder()
                .proxyConfiguration(ProxyConfiguration.builder().scheme(scheme).build())
                .connectionTimeout(Duration.ofMillis(CONNECT_MILLIS)).build());
    }

    /**
     * Returns in words why there was no answer.
     *
     * @param address what was asked, which decides whether a proxy had a part in it
     */
    static String reason(Throwable e, URI address) {
        return proxy(address).address() instanceof InetSocketAddress proxy
                ? reason(e) + " by way of the proxy " + proxy.getHostString() + ":" + proxy.getPort() : reason(e);
    }

    /** Returns the same, but for the proxy. */
    static String reason(Throwable e) {
        Throwable cause = cause(e, IOException.class).orElse(e);
        Matcher refused = REFUSED_BY_PROXY.matcher(String.valueOf(cause.getMessage()));
        return cause(e, GeneralSecurityException.class).isPresent() ? NOT_TRUSTED + Secret.clean(rootMessage(e))
                : cause instanceof UnknownHostException ? "unknown host"
                : cause instanceof SocketTimeoutException ? "timed out"
                : cause(e, StackOverflowError.class).isPresent() ? "its answer does not end"
                : cause.getClass().getSimpleName().startsWith("Json") ? ANOTHERS
                : refused.find() ? REFUSED + refused.group(1)
                : cause.getMessage() == null ? "no connection" : Secret.clean(cause.getMessage());
    }

    /** Returns what helps where there was no answer, for this reason: people have to see to certificates, and to what a proxy lets pass. */
    static String advice(String reason) {
        return reason.startsWith(NOT_TRUSTED)
                ? "let Java trust your network's own certificate authority with JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=FILE"
                : reason.startsWith(REFUSED) ? "let the proxy pass it, or name the host in NO_PROXY" : LATER;
    }

    /** Tells whether a request that got no answer for this reason would get none again. */
    static boolean isHopeless(String reason) {
        return !advice(reason).equals(LATER);
    }

    /** Returns what the first cause of all has to say. */
    static String rootMessage(Throwable e) {
        return e.getCause() == null ? String.valueOf(e.getMessage()) : rootMessage(e.getCause());
    }

    /** Returns the first of the causes that is of this type. */
    static Optional<Throwable> cause(Throwable e, Class<? extends Throwable> type) {
        return Stream.iterate(e, Objects::nonNull, Throwable::getCause).filter(type::isInstance).findFirst();
    }
}
