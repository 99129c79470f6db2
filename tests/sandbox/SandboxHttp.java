import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A small HTTP/1.1 server on a loopback port that writes every byte itself, because the faults it is told to make are faults of bytes: a
 * connection reset, a body cut short, an answer that never comes. It knows nothing of the clouds it answers for.
 */
final class SandboxHttp implements AutoCloseable {

    /**
     * A request as the handler gets it.
     *
     * @param path percent-encoded, as sent
     * @param query decoded; of a parameter sent twice, the last
     * @param headers names in lower case
     */
    record Request(String method, String path, Map<String, String> query, Map<String, String> headers, String body) {
    }

    /** An answer; the length of the body is added to its headers when it is sent. */
    record Answer(int status, String body, Map<String, String> headers) {

        static Answer json(int status, String body) {
            return new Answer(status, body, Map.of("Content-Type", "application/json"));
        }
    }

    /** Answers one request. Called from many threads at once. */
    interface Handler {
        Answer answer(Request request);
    }

    /** What is to be done with the next requests of a kind; {@code left} counts down to 0, or is below 0 for ever. */
    private static final class Rule<T> {
        final String method;
        final Pattern path;
        final T what;
        int left;

        Rule(String method, String pathPattern, int times, T what) {
            this.method = method;
            this.path = Pattern.compile(pathPattern);
            this.left = times;
            this.what = what;
        }

        private boolean isFor(Request request) {
            Stream<String> parameters = request.query().entrySet().stream()
                    .flatMap(parameter -> Stream.of("?" + parameter.getKey(), "?" + parameter));
            return left != 0 && method.equals(request.method())
                    && Stream.concat(Stream.of(""), parameters).anyMatch(end -> path.matcher(request.path() + end).find());
        }
    }

    /** Rules in the order they were made; the first that is for a request counts. */
    private static final class Rules<T> {
        private final List<Rule<T>> rules = new ArrayList<>();

        synchronized void add(String method, String pathPattern, int times, T what) {
            rules.add(new Rule<>(method, pathPattern, times, what));
        }

        synchronized void clear() {
            rules.clear();
        }

        synchronized Optional<T> next(Request request) {
            Optional<Rule<T>> rule = rules.stream().filter(candidate -> candidate.isFor(request)).findFirst();
            rule.filter(found -> found.left > 0).ifPresent(found -> found.left--);
            return rule.map(found -> found.what);
        }
    }

    private record Connection(Socket socket, InputStream in, OutputStream out) {
    }

    private static final String LOOPBACK = "127.0.0.1";
    private static final Duration RESTART_TAKES = Duration.ofMillis(300);

    /** How long to wait for what other threads or processes do: only a broken test ever waits so long. */
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private final Handler handler;
    private final Set<Socket> connections = ConcurrentHashMap.newKeySet();
    private final List<Exchange> exchanges = new ArrayList<>();
    private final Rules<Fault> faults = new Rules<>();
    private final Rules<Runnable> hooks = new Rules<>();
    private final Rules<CountDownLatch> holds = new Rules<>();
    private volatile Duration latency = Duration.ZERO;
    private volatile ServerSocket server;
    private volatile boolean isClosed;
    private Thread acceptor;

    /** Listens on a free loopback port at once. Throws UncheckedIOException if there is none. */
    SandboxHttp(Handler handler) {
        this.handler = handler;
        try {
            listen(0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns the server's address, {@code http://127.0.0.1:PORT}. */
    URI address() {
        return URI.create("http://127.0.0.1:" + server.getLocalPort());
    }

    /** Adds this much time before each answer from now on. */
    void latency(Duration latency) {
        this.latency = latency;
    }

    /**
     * Makes the next {@code times} requests of this method, with this pattern in their path, go wrong; -1 means all of them. The pattern
     * may end in a question mark and a parameter that the request has: its name, or its name, an equals sign and its decoded value.
     */
    void fail(String method, String pathPattern, int times, Fault fault) {
        faults.add(method, pathPattern, times, fault);
    }

    /** Forgets the faults that have not happened yet. */
    void failNoMore() {
        faults.clear();
    }

    /** Keeps back the answers of the next requests of this kind until {@code count} of them have come, then sends them all. */
    void hold(String method, String pathPattern, int count) {
        holds.add(method, pathPattern, count, new CountDownLatch(count));
    }

    /** Runs this once, when the next request of this kind has come and before it takes effect. */
    void when(String method, String pathPattern, Runnable hook) {
        hooks.add(method, pathPattern, 1, hook);
    }

    /**
     * Returns all exchanges so far, in the order their answers were sent. A request that hangs or is held stands there, with the status 0,
     * from the moment it does.
     */
    List<Exchange> exchanges() {
        synchronized (exchanges) {
            return List.copyOf(exchanges);
        }
    }

    /**
     * Waits until this is true of the exchanges so far, and of whatever else it looks at. It is asked again at each exchange, and ten times
     * a second. Throws IllegalStateException when it is not true after two minutes.
     */
    void await(Predicate<List<Exchange>> predicate) {
        long start = System.nanoTime();
        synchronized (exchanges) {
            while (!predicate.test(Collections.unmodifiableList(exchanges))) {
                if (System.nanoTime() - start > PATIENCE.toNanos()) {
                    throw new IllegalStateException("what is waited for did not come in " + PATIENCE + "; there were " + exchanges);
                }
                try {
                    exchanges.wait(100);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    throw new IllegalStateException(e);
                }
            }
        }
    }

    /** Forgets the exchanges so far. */
    void forgetExchanges() {
        synchronized (exchanges) {
            exchanges.clear();
        }
    }

    /** Percent-encodes all but letters, digits, hyphen, dot, underscore and tilde, which no part of an address needs encoded. */
    static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20").replace("*", "%2A").replace("%7E", "~");
    }

    /** Closes the port and every connection, hanging ones too. */
    @Override
    public void close() {
        isClosed = true;
        closeQuietly(server);
        connections.forEach(SandboxHttp::closeQuietly);
    }

    private void listen(int port) throws IOException {
        ServerSocket listening = new ServerSocket();
        listening.setReuseAddress(true);
        listening.bind(new InetSocketAddress(LOOPBACK, port));
        server = listening;
        acceptor = startThread("sandbox-accept", () -> accept(listening));
    }

    /** Closes the port and every connection, and after a moment listens there again. */
    private synchronized void restart() throws IOException {
        int port = server.getLocalPort();
        closeQuietly(server);
        connections.forEach(SandboxHttp::closeQuietly);
        // The port is in use until the thread that waits for connections has left it.
        awaitEnd(acceptor);
        // A socket that has the port but does not listen: nobody else can take it, and whoever connects is refused.
        try (Socket placeholder = new Socket()) {
            placeholder.setReuseAddress(true);
            placeholder.bind(new InetSocketAddress(LOOPBACK, port));
            pause(RESTART_TAKES);
        }
        if (!isClosed) {
            listen(port);
        }
    }

    private void accept(ServerSocket listening) {
        while (!listening.isClosed()) {
            try {
                Socket connection = listening.accept();
                connection.setTcpNoDelay(true);
                connections.add(connection);
                startThread("sandbox-connection", () -> converse(connection));
            } catch (IOException e) {
                // The port was closed, or the client was gone before it was greeted. The loop's condition tells which.
                continue;
            }
        }
    }

    private void converse(Socket socket) {
        try (socket) {
            Connection connection = new Connection(socket, new BufferedInputStream(socket.getInputStream()),
                    new BufferedOutputStream(socket.getOutputStream()));
            boolean isOpen = true;
            while (isOpen) {
                isOpen = exchange(connection);
            }
        } catch (IOException e) {
            // The client closed the connection. That is its right, and what some tests are about.
            return;
        } finally {
            connections.remove(socket);
        }
    }

    /** Reads one request and answers it. Returns whether the connection can serve another. */
    private boolean exchange(Connection connection) throws IOException {
        String requestLine = readLine(connection.in());
        if (requestLine == null) {
            return false;
        }
        long start = System.nanoTime();
        Request request = readRequest(requestLine, connection);
        Fault fault = faults.next(request).orElse(null);
        Answer answer = answer(request, fault == null || fault.acts());
        holds.next(request).ifPresent(hold -> hold(start, request, hold));
        pause(latency);
        if (fault == null) {
            return send(answer, true, connection, start, request);
        }
        if (fault.kind() == Fault.Kind.ANSWER) {
            return send(new Answer(fault.status(), fault.body(), fault.headers()), true, connection, start, request);
        }
        goWrong(fault.kind(), answer, connection, start, request);
        return false;
    }

    private void goWrong(Fault.Kind kind, Answer answer, Connection connection, long start, Request request) throws IOException {
        if (kind == Fault.Kind.CUT || kind == Fault.Kind.STALL || kind == Fault.Kind.DRIP) {
            send(answer, false, connection, start, request);
        } else {
            record(start, request, 0, "");
        }
        switch (kind) {
            // To close a socket that must not linger is to reset it.
            case RESET -> connection.socket().setSoLinger(true, 0);
            case RESTART -> restart();
            // Waits for the client's next byte, which comes when it gives up: as the end of the stream.
            case STALL, HANG -> connection.in().read();
            // Half of the answer at once, and then byte after byte of the rest.
            case DRIP -> {
                byte[] body = answer.body().getBytes(StandardCharsets.UTF_8);
                for (int i = body.length / 2; i < body.length; i++) {
                    connection.out().write(body[i]);
                    connection.out().flush();
                    pause(Duration.ofMillis(100));
                }
            }
            case INTERIM -> {
                while (!isClosed) {
                    connection.out().write("HTTP/1.1 100 Continue\r\n\r\n".getBytes(StandardCharsets.ISO_8859_1));
                }
            }
            default -> {
                // The connection is closed in the middle of the answer.
            }
        }
    }

    private Answer answer(Request request, boolean acts) {
        try {
            hooks.next(request).ifPresent(Runnable::run);
            return acts ? handler.answer(request) : null;
        } catch (RuntimeException e) {
            // A bug of the sandbox must not look like a fault of the network.
            StringWriter trace = new StringWriter();
            e.printStackTrace(new PrintWriter(trace));
            return new Answer(500, "The sandbox failed: " + trace, Map.of("Content-Type", "text/plain"));
        }
    }

    private boolean send(Answer answer, boolean whole, Connection connection, long start, Request request) throws IOException {
        byte[] body = answer.body().getBytes(StandardCharsets.UTF_8);
        byte[] sent = whole ? body : Arrays.copyOf(body, body.length / 2);
        StringBuilder head = new StringBuilder("HTTP/1.1 " + answer.status() + " Status\r\n");
        answer.headers().forEach((name, value) -> head.append(name).append(": ").append(value).append("\r\n"));
        boolean bodiless = answer.status() == 204;
        if (!bodiless) {
            head.append("Content-Length: ").append(body.length).append("\r\n");
        }
        head.append("\r\n");

        record(start, request, answer.status(), new String(sent, StandardCharsets.UTF_8));
        OutputStream out = connection.out();
        out.write(head.toString().getBytes(StandardCharsets.ISO_8859_1));
        if (!bodiless) {
            out.write(sent);
        }
        out.flush();
        return !"close".equalsIgnoreCase(request.headers().get("connection"));
    }

    private Exchange record(long start, Request request, int status, String responseBody) {
        Exchange exchange = new Exchange(start, System.nanoTime(), request.method(), request.path(), request.query(), request.headers(),
                request.body(), status, responseBody);
        synchronized (exchanges) {
            exchanges.add(exchange);
            exchanges.notifyAll();
        }
        return exchange;
    }

    private void hold(long start, Request request, CountDownLatch hold) {
        Exchange held = record(start, request, 0, "");
        hold.countDown();
        try {
            if (!hold.await(PATIENCE.toSeconds(), TimeUnit.SECONDS) && !isClosed) {
                throw new IllegalStateException("the requests that this one was held for did not come in " + PATIENCE + ": " + held);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        synchronized (exchanges) {
            exchanges.removeIf(exchange -> exchange == held);
        }
    }

    private static Request readRequest(String requestLine, Connection connection) throws IOException {
        InputStream in = connection.in();
        String[] parts = requestLine.split(" ");
        Map<String, String> headers = new LinkedHashMap<>();
        for (String line = readLine(in); line != null && !line.isEmpty(); line = readLine(in)) {
            int colon = line.indexOf(':');
            headers.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).strip());
        }
        String target = parts[1];
        int question = target.indexOf('?');
        String path = question < 0 ? target : target.substring(0, question);
        String query = question < 0 ? "" : target.substring(question + 1);
        return new Request(parts[0], path, decode(query), Map.copyOf(headers), new String(readBytes(in, Integer.parseInt(headers.getOrDefault("content-length", "0"))), StandardCharsets.UTF_8));
    }

    private static Map<String, String> decode(String query) {
        Map<String, String> parameters = new LinkedHashMap<>();
        for (String parameter : query.split("&")) {
            if (!parameter.isEmpty()) {
                String[] pair = parameter.split("=", 2);
                parameters.put(URLDecoder.decode(pair[0], StandardCharsets.UTF_8),
                        pair.length == 1 ? "" : URLDecoder.decode(pair[1], StandardCharsets.UTF_8));
            }
        }
        return parameters;
    }

    private static byte[] readBytes(InputStream in, int length) throws IOException {
        byte[] bytes = in.readNBytes(length);
        if (bytes.length < length) {
            throw new EOFException("the client stopped in the middle of a request");
        }
        return bytes;
    }

    /** Returns the next line without its ending, or null at the end of the stream. */
    private static String readLine(InputStream in) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int b = in.read(); b != '\n'; b = in.read()) {
            if (b < 0) {
                return null;
            }
            if (b != '\r') {
                line.write(b);
            }
        }
        return line.toString(StandardCharsets.ISO_8859_1);
    }

    private static void pause(Duration duration) {
        if (duration.isZero()) {
            return;
        }
        try {
            Thread.sleep(duration.toMillis());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static Thread startThread(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private static void awaitEnd(Thread thread) {
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void closeQuietly(AutoCloseable closeable) {
        try {
            closeable.close();
        } catch (Exception e) {
            // It is closed as far as it can be, and the sandbox ends.
            return;
        }
    }
}
