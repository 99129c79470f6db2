import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * A branch's way into the one PostgreSQL server: a port of its own, behind which roles and databases have the names that they have in the
 * branch. It changes the first message of a connection, which says both, and passes on all the rest as it is.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
final class SandboxDoor implements AutoCloseable {

    private static final int SSL_REQUEST = 80877103;
    private static final int GSS_REQUEST = 80877104;
    private static final int PROTOCOL_3 = 3;

    private final ServerSocket door;
    private final int serverPort;
    private final UnaryOperator<String> serverName;

    /** @param serverName turns the name of a role or a database of the branch into that of the server */
    SandboxDoor(int serverPort, UnaryOperator<String> serverName) {
        this.serverPort = serverPort;
        this.serverName = serverName;
        try {
            door = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        start(this::accept);
    }

    int port() {
        return door.getLocalPort();
    }

    /** Lets nobody in any more. */
    @Override
    public void close() {
        try {
            door.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void accept() {
        while (!door.isClosed()) {
            try {
                Socket client = door.accept();
                start(() -> serve(client));
            } catch (IOException e) {
                // The door was closed, or the client was gone at once. The loop's condition tells which.
                continue;
            }
        }
    }

    private void serve(Socket client) {
        try (client; Socket server = new Socket(InetAddress.getLoopbackAddress(), serverPort)) {
            DataInputStream in = new DataInputStream(client.getInputStream());
            byte[] message = in.readNBytes(in.readInt() - 4);
            while (code(message) == SSL_REQUEST || code(message) == GSS_REQUEST) {
                client.getOutputStream().write('N');
                message = in.readNBytes(in.readInt() - 4);
            }
            byte[] passed = code(message) >> 16 == PROTOCOL_3 ? rename(message) : message;
            DataOutputStream out = new DataOutputStream(server.getOutputStream());
            out.writeInt(passed.length + 4);
            out.write(passed);
            start(() -> pass(server, client));
            in.transferTo(out);
        } catch (IOException e) {
            // One of the two has hung up, and so does the other.
            return;
        }
    }

    private static void pass(Socket from, Socket to) {
        try (from; to) {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            in.transferTo(out);
        } catch (IOException e) {
            return; // One of the two has hung up.
        }
    }

    private static int code(byte[] message) {
        return (message[0] & 255) << 24 | (message[1] & 255) << 16 | (message[2] & 255) << 8 | message[3] & 255;
    }

    private byte[] rename(byte[] message) throws IOException {
        ByteArrayOutputStream renamed = new ByteArrayOutputStream();
        renamed.write(message, 0, 4);
        List<String> words = List.of(new String(message, 4, message.length - 4, StandardCharsets.UTF_8).split("\0", -1));
        for (int i = 0; i < words.size() - 1; i++) {
            boolean isName = i % 2 == 1 && List.of("user", "database").contains(words.get(i - 1));
            renamed.write((isName ? serverName.apply(words.get(i)) : words.get(i)).getBytes(StandardCharsets.UTF_8));
            renamed.write(0);
        }
        return renamed.toByteArray();
    }

    private static void start(Runnable task) {
        Thread thread = new Thread(task, "sandbox-door");
        thread.setDaemon(true);
        thread.start();
    }
}
