//SOURCES ../command/InSandbox.java
//SOURCES ../sandbox/Certificate.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import javax.net.ssl.SSLContext;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Networks with their own certificates and proxies: each run in a process with the proxy in its environment. */
@Tag("slow")
class NetworkTest extends InSandbox {

    private final ExecutorService threads = Executors.newCachedThreadPool();

    /** What the proxy was asked to connect to. */
    private final List<String> connects = new CopyOnWriteArrayList<>();

    /** HTTPS servers for Neon, SSM and Amplify. */
    private final List<ServerSocket> https = new ArrayList<>();
    private ServerSocket proxy;

    /** The user and password that the proxy demands; empty for none. */
    private String requiredLogin = "";

    @BeforeEach
    void start() throws Exception {
        SSLContext context = Certificate.make(folder);
        for (int i = 0; i < 3; i++) {
            ServerSocket server = context.getServerSocketFactory().createServerSocket(0, 50, InetAddress.getLoopbackAddress());
            serve(server, client -> relay(client, sandbox.address().getPort()));
            https.add(server);
        }
    }

    @AfterEach
    void stop() throws IOException {
        for (ServerSocket server : https) {
            server.close();
        }
        if (proxy != null) {
            proxy.close();
        }
        threads.shutdownNow();
    }

    @ParameterizedTest
    @ValueSource(strings = {"NEON", "AWS"})
    void an_untrusted_certificate_is_named_and_not_retried(String cloud) {
        Map<String, String> environment = secure(cloud.equals("NEON"));
        Shell.Result result = process(environment, "create-branch", "--verbose");
        String reason = "its certificate is not trusted: unable to find valid certification path to requested target";
        assertTrue(result.err().endsWith((cloud.equals("NEON")
                ? "Could not list the branches of Neon project quiet-sandbox-12345678: no answer from " + address(0) + "/api/v2"
                : "Could not read SSM parameter /neon/api-key in region eu-central-1: no answer from AWS")
                + " (" + reason + "); let Java trust your network's certificate authority with"
                + " JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=FILE.\n"), result.err());
        // One line for the request, and more for retries.
        assertEquals(cloud.equals("NEON") ? 2 : 1, result.err().lines()
                .filter(line -> !line.contains(" 200 ") && !line.startsWith("ssm:")).count(), result.err());
        assertEquals(1, result.exitCode());

        String authorities = "-Djavax.net.ssl.trustStore=" + folder.resolve("authorities.jks");
        environment.put("JAVA_TOOL_OPTIONS", authorities + " -Djavax.net.ssl.trustStorePassword=wrong");
        String unread = process(environment, "create-branch").err();
        assertTrue(unread.matches("Picked up .*\nneon-ci: Could not .* \\(its certificate is not trusted: \\S.*\\); let Java .*\n"),
                unread);
        environment.put("JAVA_TOOL_OPTIONS", authorities);
        Shell.Result trusted = process(environment, "create-branch");
        assertEquals(0, trusted.exitCode(), trusted.err());
    }

    @ParameterizedTest
    @CsvSource({"HTTPS_PROXY,http://", "https_proxy,''", "HTTPS_PROXY,http://us%20er:p%40ss%25@", "HTTPS_PROXY,us%20er:p%40ss%25@"})
    void both_clouds_are_reached_through_the_proxy(String variable, String start) throws IOException {
        sandbox.neon().add(SandboxAws.APP_ID + "-gone");
        requiredLogin = start.contains("@") ? "us er:p@ss%" : "";
        Map<String, String> environment = trusting();
        environment.put(variable, start + proxy(200) + (start.isEmpty() ? "" : "/"));
        Shell.Result result = process(environment, "cleanup-branches", "--grace", "3d");
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(https.stream().map(server -> "localhost:" + server.getLocalPort()).collect(Collectors.toSet()), Set.copyOf(connects));
        assertTrue(sandbox.exchanges().stream().noneMatch(exchange -> exchange.requestHeaders().containsKey("proxy-authorization")));
    }

    @ParameterizedTest
    @CsvSource({"NO_PROXY,'(x,[ , LocalHost'", "no_proxy,*", "NO_PROXY,.localhost"})
    void a_host_of_no_proxy_is_reached_directly(String variable, String value) throws IOException {
        sandbox.neon().add(SandboxAws.APP_ID + "-gone");
        Map<String, String> environment = trusting();
        environment.put("HTTPS_PROXY", proxy(403));
        environment.put(variable, value);
        Shell.Result result = process(environment, "cleanup-branches", "--grace", "3d");
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(List.of(), connects);
    }

    @ParameterizedTest
    @CsvSource({"NEON,403,1", "NEON,407,2", "AWS,403,1", "AWS,407,2"})
    void a_proxy_that_refuses_is_named_and_not_retried(String cloud, int status, int attempts) throws IOException {
        Map<String, String> environment = secure(cloud.equals("NEON"));
        String address = proxy(status);
        environment.put("HTTPS_PROXY", "http://user:secret@" + address);
        Shell.Result result = process(environment, "create-branch");
        assertTrue(result.err().endsWith("HTTP/1.1 " + status + " Status\" through the proxy " + address + "); " + (status == 403
                ? "allow the host in the proxy, or add it to NO_PROXY.\n"
                : "set HTTPS_PROXY to http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT for a proxy that wants a user name and"
                        + " password.\n")), result.err());
        assertEquals(1, result.err().lines().count(), result.err());
        assertFalse(result.err().contains("secret"));
        assertEquals(attempts, connects.size());
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void a_proxy_that_is_not_supported_ends_in_one_sentence(boolean isNeon) {
        Map<String, String> environment = secure(isNeon);
        environment.put("HTTPS_PROXY", "socks5://user:secret@127.0.0.1:1080");
        Shell.Result result = process(environment, "create-branch");
        assertTrue(result.err().matches("neon-ci: Could not [^\n]* \\(HTTPS_PROXY is not the address of an HTTP proxy\\); set"
                + " HTTPS_PROXY to http://HOST:PORT, or [^\n]*\n"), result.err());
    }

    @Test
    void a_proxy_without_an_answer_is_named() throws IOException {
        String address = proxy(403);
        proxy.close();
        Map<String, String> environment = secure(true);
        environment.put("HTTPS_PROXY", address);
        String refused = process(environment, "create-branch", "--wait", "30s").err();
        assertTrue(refused.endsWith(" (Connection refused through the proxy " + address + "); run again later.\n"), refused);
        environment.put("HTTPS_PROXY", "nowhere.invalid");
        String unknown = process(environment, "create-branch", "--wait", "30s").err();
        assertTrue(unknown.endsWith(" (unknown host nowhere.invalid through the proxy nowhere.invalid:80); check that this machine is"
                + " online, or run again later.\n"), unknown);
    }

    @ParameterizedTest
    @ValueSource(strings = {"NEON_API_HOST", "AWS_ENDPOINT_URL_SSM"})
    void an_unknown_host_is_named(String variable) {
        Map<String, String> environment = sandbox.environment(Map.of(variable, "https://nowhere.invalid"));
        String err = process(environment, "create-branch", "--wait", "30s").err();
        assertTrue(err.endsWith(" (unknown host nowhere.invalid); check that this machine is online, or run again later.\n"), err);
    }

    @Test
    void a_timeout_is_named() {
        sandbox.fail("POST", "/ssm", -1, Fault.hangBefore());
        String err = process(sandbox.environment(), "create-branch", "--wait", "8s").err();
        assertTrue(err.endsWith("no answer from AWS (timed out); run again later.\n"), err);
    }

    /** Returns an environment in which Neon or SSM has the certificate. */
    private Map<String, String> secure(boolean isNeon) {
        return sandbox.environment(isNeon ? Map.of("NEON_API_HOST", address(0) + "/api/v2")
                : Map.of("AWS_ENDPOINT_URL_SSM", address(1) + "/ssm"));
    }

    private Map<String, String> trusting() {
        Map<String, String> environment = secure(true);
        environment.put("AWS_ENDPOINT_URL_SSM", address(1) + "/ssm");
        environment.put("AWS_ENDPOINT_URL_AMPLIFY", address(2) + "/amplify");
        environment.put("JAVA_TOOL_OPTIONS", "-Djavax.net.ssl.trustStore=" + folder.resolve("authorities.jks"));
        return environment;
    }

    private String address(int way) {
        return "https://localhost:" + https.get(way).getLocalPort();
    }

    /** Starts a proxy that answers each CONNECT with this status, and returns its host and port. */
    private String proxy(int status) throws IOException {
        proxy = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        serve(proxy, client -> {
            StringBuilder head = new StringBuilder();
            while (head.indexOf("\r\n\r\n") < 0) {
                head.append((char) client.getInputStream().read());
            }
            String target = head.toString().split(" ")[1];
            connects.add(target);
            String login = "Basic " + Base64.getEncoder().encodeToString(requiredLogin.getBytes(StandardCharsets.UTF_8));
            int answer = !requiredLogin.isEmpty() && !head.toString().contains(login) ? 407 : status;
            String challenge = "Proxy-Authenticate: Basic realm=\"proxy\"\r\nConnection: close\r\nContent-Length: 0\r\n";
            client.getOutputStream().write(("HTTP/1.1 " + answer + " Status\r\n" + (answer == 407 ? challenge : "") + "\r\n")
                    .getBytes(StandardCharsets.UTF_8));
            if (answer == 200) {
                relay(client, Integer.parseInt(target.replaceFirst(".*:", "")));
            }
        });
        return "127.0.0.1:" + proxy.getLocalPort();
    }

    /** Uses a connection before it is closed. */
    private interface Conversation {
        void with(Socket client) throws IOException;
    }

    private void serve(ServerSocket server, Conversation conversation) {
        threads.submit(() -> {
            while (!server.isClosed()) {
                Socket client = server.accept();
                threads.submit(() -> {
                    try (client) {
                        conversation.with(client);
                    }
                    return null;
                });
            }
            return null;
        });
    }

    private void relay(Socket client, int port) throws IOException {
        try (Socket server = new Socket(InetAddress.getLoopbackAddress(), port)) {
            threads.submit(() -> {
                client.getInputStream().transferTo(server.getOutputStream());
                server.shutdownOutput();
                return null;
            });
            server.getInputStream().transferTo(client.getOutputStream());
        }
    }
}
