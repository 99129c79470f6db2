import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Serves the files of a folder over HTTP, as a Git host or a Maven repository does. */
final class Web implements AutoCloseable {

    private final HttpServer server;

    /** With {@code isFlaky}, the first request for each file gets a 502. */
    Web(Path folder, boolean isFlaky) throws IOException {
        Set<Path> requested = ConcurrentHashMap.newKeySet();
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/v1.0.0/", exchange -> {
            Path file = folder.resolve(exchange.getRequestURI().getPath().substring("/v1.0.0/".length()));
            int status = requested.add(file) && isFlaky ? 502 : Files.isRegularFile(file) ? 200 : 404;
            byte[] body = status == 200 ? Files.readAllBytes(file) : new byte[0];
            exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }

    /** Returns the address, by a name of this machine that JBang does not trust by default, unlike localhost. */
    String address() {
        return "http://127.1:" + server.getAddress().getPort() + "/v1.0.0/";
    }

    /** Returns the README's text about the catalog, with this address in place of the Git host's. */
    String replaceCatalog(String text) {
        return text.replace("https://github.com/OWNER/neon-ci", address())
                .replace("neon-ci@OWNER/neon-ci/v1.0.0", "neon-ci@" + address() + "jbang-catalog.json");
    }

    @Override
    public void close() {
        server.stop(0);
    }
}
