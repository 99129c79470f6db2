//SOURCES ../command/InSandbox.java
//SOURCES ../sandbox/Certificate.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
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

/** Networks that companies have, with certificates and proxies of their own: each run in a process, whose environment names the proxy. */
@Tag("slow")
class NetworkTest extends InSandbox {

    private final ExecutorService threads = Executors.newCachedThreadPool();

    /** What the proxy was asked to connect to. */
    private final List<String> connects = new CopyOnWriteArrayList<>();

    /** The ways in to Neon, SSM and Amplify. */
    private final List<ServerSocket> https = new ArrayList<>();
    private ServerSocket proxy;

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
    void a_certificate_that_is_not_trusted_is_said_and_not_asked_again(String cloud) {
        Map<String, String> environment = secure(cloud.equals("NEON"));
        Shell.Result result = process(environment, "create-branch", "--verbose");
        String reason = "its certificate is not trusted: unable to find valid certification path to requested target";
        assertTrue(result.err().endsWith((cloud.equals("NEON")
                ? "Could not list the branches of Neon project quiet-sandbox-12345678: no answer from " + address(0) + "/api/v2"
                : "Could not read SSM parameter /neon/api-key in region eu-central-1: no answer from AWS")
                + " (" + reason + "); let Java trust your network's certificate authority with"
                + " JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=FILE.\n"), result.err());
        // One line for the request, unless it was made again.
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
    @ValueSource(strings = {"HTTPS_PROXY", "https_proxy"})
    void both_clouds_are_reached_by_way_of_the_proxy(String variable) throws IOException {
        Map<String, String> environment = trusting();
        environment.put(variable, proxy(200));
        Shell.Result result = process(environment, "cleanup-branches");
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(https.stream().map(server -> "localhost:" + server.getLocalPort()).collect(Collectors.toSet()), Set.copyOf(connects));
    }

    @ParameterizedTest
    @ValueSource(strings = {"NO_PROXY", "no_proxy"})
    void a_host_that_needs_no_proxy_is_reached_without(String variable) throws IOException {
        Map<String, String> environment = trusting();
        environment.put("HTTPS_PROXY", proxy(403));
        environment.put(variable, "example.com,localhost");
        Shell.Result result = process(environment, "cleanup-branches");
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(List.of(), connects);
    }

    @ParameterizedTest
    @CsvSource({"NEON,403", "NEON,407", "AWS,403", "AWS,407"})
    void a_proxy_that_refuses_is_named_and_not_asked_again(String cloud, int status) throws IOException {
        Map<String, String> environment = secure(cloud.equals("NEON"));
        String address = proxy(status);
        environment.put("HTTPS_PROXY", address.replace("://", "://user:secret@"));
        Shell.Result result = process(environment, "create-branch");
        assertTrue(result.err().endsWith("HTTP/1.1 " + status + " Status\" through the proxy " + URI.create(address).getAuthority()
                + "); allow the host in the proxy, or add it to NO_PROXY.\n"), result.err());
        assertEquals(1, result.err().lines().count(), result.err());
        assertFalse(result.err().contains("secret"));
        assertEquals(1, connects.size());
    }

    @Test
    void a_proxy_that_is_not_there_is_named() throws IOException {
        String address = proxy(403);
        proxy.close();
        Map<String, String> environment = secure(true);
        environment.put("HTTPS_PROXY", address);
        Shell.Result result = process(environment, "create-branch", "--wait", "2s");
        assertTrue(result.err().endsWith(" (Connection refused through the proxy " + URI.create(address).getAuthority()
                + "); run again later.\n"), result.err());
    }

    @Test
    void no_answer_is_never_without_its_reason() {
        Map<String, String> environment = sandbox.environment(Map.of("AWS_ENDPOINT_URL_SSM", "https://nowhere.invalid"));
        String unknown = process(environment, "create-branch", "--wait", "30s").err();
        assertTrue(unknown.endsWith("no answer from AWS (unknown host); run again later.\n"), unknown);
        environment.put("AWS_ENDPOINT_URL_SSM", sandbox.address() + "/ssm");
        sandbox.fail("POST", "/ssm", -1, Fault.hangBefore());
        String err = process(environment, "create-branch", "--wait", "2s").err();
        assertTrue(err.endsWith("no answer from AWS (timed out); run again later.\n"), err);
    }

    /** Returns the environment in which one cloud, or all, have the certificate. */
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

    /** Starts a proxy that answers so to all who want to connect somewhere, and returns its address. */
    private String proxy(int status) throws IOException {
        proxy = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        serve(proxy, client -> {
            StringBuilder head = new StringBuilder();
            while (head.indexOf("\r\n\r\n") < 0) {
                head.append((char) client.getInputStream().read());
            }
            String target = head.toString().split(" ")[1];
            connects.add(target);
            client.getOutputStream().write(("HTTP/1.1 " + status + " Status\r\n\r\n").getBytes(StandardCharsets.ISO_8859_1));
            if (status == 200) {
                relay(client, Integer.parseInt(target.replaceFirst(".*:", "")));
            }
        });
        return "http://127.0.0.1:" + proxy.getLocalPort();
    }

    /** What is done with a connection before it is closed. */
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
