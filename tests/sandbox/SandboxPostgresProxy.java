import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * The way to the databases of one Neon branch, as Neon's own proxy is: a client names role and database as Neon does, and is connected to
 * those that the server has for this branch.
 */
final class SandboxPostgresProxy implements AutoCloseable {

    /** Which version, or else which request, a client's first message is: https://www.postgresql.org/docs/17/protocol-message-formats.html. */
    private static final int MAJOR_VERSION = 3;
    private static final int SSL_REQUEST = 80_877_103;
    private static final int GSS_REQUEST = 80_877_104;

    /** PostgreSQL itself takes no longer first message. */
    private static final int LONGEST = 10_000;

    private final ServerSocket listener;
    private final int serverPort;
    private final UnaryOperator<String> serverWide;

    /**
     * Listens on a free loopback port.
     *
     * @param serverPort where the server listens
     * @param serverWide turns the name of a role or database of the branch into the server's
     */
    SandboxPostgresProxy(int serverPort, UnaryOperator<String> serverWide) {
        this.serverPort = serverPort;
        this.serverWide = serverWide;
        try {
            listener = new ServerSocket(0, 0, InetAddress.getByName(SandboxPostgres.HOST));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        start(this::accept);
    }

    int port() {
        return listener.getLocalPort();
    }

    /** Lets nobody in any more. Whoever is in stays until the server ends it. */
    @Override
    public void close() {
        try {
            listener.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void accept() {
        try {
            while (true) {
                Socket client = listener.accept();
                start(() -> serve(client));
            }
        } catch (IOException e) {
            // Closed: the branch is gone.
        }
    }

    private void serve(Socket client) {
        try (client; Socket server = new Socket(SandboxPostgres.HOST, serverPort)) {
            client.setTcpNoDelay(true);
            server.setTcpNoDelay(true);
            server.getOutputStream().write(firstMessage(client));
            Thread answers = start(() -> pass(server, client));
            pass(client, server);
            answers.join();
        } catch (IOException | IllegalArgumentException | InterruptedException e) {
            // What is no PostgreSQL client, or names what cannot be there, is cut off.
        }
    }

    /** Passes on an end too, so that the last words of either side arrive. */
    private static void pass(Socket from, Socket to) {
        try {
            from.getInputStream().transferTo(to.getOutputStream());
            to.shutdownOutput();
        } catch (IOException e) {
            // One side is gone, and the other learns it by the next read or write.
        }
    }

    /** Returns what the client begins with once it knows that nothing is encrypted here, with the names that the server knows. */
    private byte[] firstMessage(Socket client) throws IOException {
        DataInputStream in = new DataInputStream(client.getInputStream());
        while (true) {
            int length = in.readInt();
            if (length < 8 || length > LONGEST) {
                throw new IOException("this is no first message");
            }
            byte[] content = in.readNBytes(length - 4);
            int code = ByteBuffer.wrap(content).getInt();
            if (code == SSL_REQUEST || code == GSS_REQUEST) {
                client.getOutputStream().write('N');
            } else {
                return message(code >>> 16 == MAJOR_VERSION ? translated(content) : content);
            }
        }
    }

    private byte[] translated(byte[] content) throws IOException {
        String[] words = new String(content, 4, content.length - 4, StandardCharsets.UTF_8).split("\0", -1);
        Map<String, String> parameters = new LinkedHashMap<>();
        for (int i = 0; i + 1 < words.length && !words[i].isEmpty(); i += 2) {
            parameters.put(words[i], words[i + 1]);
        }
        parameters.putIfAbsent("database", parameters.get("user"));
        parameters.replaceAll((name, value) -> name.equals("user") || name.equals("database") ? serverWide.apply(value) : value);
        ByteArrayOutputStream translated = new ByteArrayOutputStream();
        translated.write(content, 0, 4);
        parameters.forEach((name, value) -> translated.writeBytes((name + "\0" + value + "\0").getBytes(StandardCharsets.UTF_8)));
        translated.write(0);
        return translated.toByteArray();
    }

    private static byte[] message(byte[] content) throws IOException {
        ByteArrayOutputStream message = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(message);
        out.writeInt(content.length + 4);
        out.write(content);
        return message.toByteArray();
    }

    private static Thread start(Runnable work) {
        Thread thread = new Thread(work, "sandbox-postgres-proxy");
        thread.setDaemon(true);
        thread.start();
        return thread;
    }
}
