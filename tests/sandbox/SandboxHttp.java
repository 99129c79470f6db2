import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.commons.io.IOUtils;
import org.apache.http.Header;
import org.apache.http.HttpEntityEnclosingRequest;
import org.apache.http.HttpException;
import org.apache.http.HttpRequest;
import org.apache.http.client.utils.URLEncodedUtils;
import org.apache.http.impl.DefaultBHttpServerConnection;
import org.apache.http.util.EntityUtils;

/**
 * An HTTP server on a loopback port that can be told to fail. It writes its answers byte by byte, because most of its faults need that: a
 * connection reset, a body cut short, an answer that never comes. What it answers is up to the subclass.
 */
abstract class SandboxHttp implements AutoCloseable {

    /** A request: the path percent-encoded as sent, the query decoded, the names of headers in lower case. */
    record Request(String method, String path, Map<String, String> query, Map<String, String> headers, String body) {

        /** Returns the parts of the path, decoded. */
        List<String> segments() {
            return Stream.of(path.split("/")).filter(segment -> !segment.isEmpty())
                    .map(segment -> URLDecoder.decode(segment.replace("+", "%2B"), StandardCharsets.UTF_8)).toList();
        }
    }

    /** An answer, to which the server adds the length of its body and the date. */
    record Answer(int status, String body, Map<String, String> headers) {

        static Answer json(int status, JsonNode body) {
            return new Answer(status, body.toString(), Map.of("Content-Type", "application/json"));
        }
    }

    /** Thrown to answer a request with an error. */
    static final class Refusal extends RuntimeException {
        final int status;
        final String code;

        Refusal(int status, String code, String message) {
            super(message);
            this.status = status;
            this.code = code;
        }
    }

    /** What to do with the next requests of a kind. The first rule that matches and is not used up applies. */
    private static final class Rules<T> {

        private record Rule<T>(String method, Pattern path, AtomicInteger times, T action) {

            boolean matches(Request request) {
                Stream<String> parameters = request.query().entrySet().stream()
                        .flatMap(parameter -> Stream.of("?" + parameter.getKey(), "?" + parameter));
                return method.equals(request.method()) && Stream.concat(Stream.of(""), parameters)
                        .anyMatch(parameter -> path.matcher(request.path() + parameter).find());
            }
        }

        private final List<Rule<T>> rules = new ArrayList<>();

        synchronized void add(String method, String pathPattern, int times, T action) {
            rules.add(new Rule<>(method, Pattern.compile(pathPattern), new AtomicInteger(times), action));
        }

        synchronized void clear() {
            rules.clear();
        }

        synchronized Optional<T> next(Request request) {
            Optional<Rule<T>> next = rules.stream().filter(rule -> rule.times.get() != 0 && rule.matches(request)).findFirst();
            next.ifPresent(rule -> rule.times.decrementAndGet());
            return next.map(Rule::action);
        }
    }

    private static final Duration RESTART_TAKES = Duration.ofMillis(300);

    /** How long to wait for other threads or processes. Only a broken test waits that long. */
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private final Set<Socket> connections = ConcurrentHashMap.newKeySet();
    private final List<Exchange> exchanges = new ArrayList<>();
    private final Rules<Fault> faults = new Rules<>();
    private final Rules<Runnable> hooks = new Rules<>();
    private final Rules<CountDownLatch> holds = new Rules<>();
    private volatile Duration latency = Duration.ZERO;
    private volatile Duration clockSkew = Duration.ZERO;
    private volatile ServerSocket server;
    private volatile boolean isClosed;
    private Thread acceptor;

    /** Answers a request. Called by many threads at the same time. */
    abstract Answer answer(Request request);

    /** Returns the server's address, {@code http://127.0.0.1:PORT}. */
    URI address() {
        return URI.create("http://127.0.0.1:" + server.getLocalPort());
    }

    /** Delays each answer by this much from now on. */
    void latency(Duration duration) {
        latency = duration;
    }

    /** Sets how far the server's clock is ahead of this machine's, or behind it if negative. */
    void clockSkew(Duration skew) {
        clockSkew = skew;
    }

    /** Returns the time by the server's clock. */
    Instant now() {
        return Instant.now().plus(clockSkew);
    }

    /**
     * Makes the next requests of a kind fail.
     *
     * @param pathPattern a regular expression to find in the path, such as {@code /branches$}, or in the path followed by a question mark
     *     and one parameter, such as {@code /branches\\?cursor$} or {@code /connection_uri\\?pooled=true$}
     * @param times how many of them fail, or -1 for all
     */
    void fail(String method, String pathPattern, int times, Fault fault) {
        faults.add(method, pathPattern, times, fault);
    }

    /** Cancels all faults. */
    void failNoMore() {
        faults.clear();
    }

    /**
     * Holds back the answers to the next requests of this kind until {@code count} of them have arrived. Each is processed when it arrives,
     * so none sees the effects of the others.
     */
    void hold(String method, String pathPattern, int count) {
        holds.add(method, pathPattern, count, new CountDownLatch(count));
    }

    /** Runs the change when the next request of this kind arrives, before the request is processed. */
    void when(String method, String pathPattern, Runnable change) {
        hooks.add(method, pathPattern, 1, change);
    }

    /** Runs the change when the nth request of this kind arrives, counted from 1. */
    void when(int nth, String method, String pathPattern, Runnable change) {
        if (nth > 1) {
            hooks.add(method, pathPattern, nth - 1, () -> { });
        }
        when(method, pathPattern, change);
    }

    /**
     * Returns all requests so far with their answers, in the order of the answers. A request that hangs or is held is included with the
     * status 0.
     */
    List<Exchange> exchanges() {
        synchronized (exchanges) {
            return List.copyOf(exchanges);
        }
    }

    /** Waits until the condition is true. Checks it at each exchange and ten times a second; fails after two minutes. */
    void await(Predicate<List<Exchange>> condition) {
        long start = System.nanoTime();
        synchronized (exchanges) {
            while (!condition.test(Collections.unmodifiableList(exchanges))) {
                if (System.nanoTime() - start > PATIENCE.toNanos()) {
                    throw new IllegalStateException("the condition did not become true in " + PATIENCE + "; requests: " + exchanges);
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

    /** Clears the list of exchanges. */
    void forgetExchanges() {
        synchronized (exchanges) {
            exchanges.clear();
        }
    }

    /** Closes the port and every connection. */
    @Override
    public void close() {
        isClosed = true;
        IOUtils.closeQuietly(server);
        connections.forEach(IOUtils::closeQuietly);
    }

    /** Starts to listen; port 0 stands for any free port. */
    void listen(int port) {
        try {
            ServerSocket listening = new ServerSocket();
            listening.setReuseAddress(true);
            listening.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
            server = listening;
            acceptor = startThread("sandbox-accept", () -> accept(listening));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Closes the port and every connection, and listens again after a moment. */
    private synchronized void restart() throws IOException, InterruptedException {
        InetSocketAddress address = (InetSocketAddress) server.getLocalSocketAddress();
        IOUtils.closeQuietly(server);
        connections.forEach(IOUtils::closeQuietly);
        // The port stays in use until accept() has returned.
        acceptor.join();
        // A socket that is bound but does not listen reserves the port, and connections are refused.
        try (Socket placeholder = new Socket()) {
            placeholder.setReuseAddress(true);
            placeholder.bind(address);
            Thread.sleep(RESTART_TAKES.toMillis());
        }
        if (!isClosed) {
            listen(address.getPort());
        }
    }

    private void accept(ServerSocket listening) {
        while (!listening.isClosed()) {
            try {
                Socket socket = listening.accept();
                socket.setTcpNoDelay(true);
                connections.add(socket);
                startThread("sandbox-connection", () -> serve(socket));
            } catch (IOException e) {
                // Either the port was closed, which ends the loop, or the client has already disconnected.
                continue;
            }
        }
    }

    private void serve(Socket socket) {
        try (socket; DefaultBHttpServerConnection connection = new DefaultBHttpServerConnection(8192)) {
            connection.bind(socket);
            boolean isOpen = true;
            while (isOpen) {
                HttpRequest head = connection.receiveRequestHeader();
                long start = System.nanoTime();
                isOpen = serve(request(head, connection), start, socket);
            }
        } catch (IOException | HttpException | InterruptedException e) {
            // The client closed the connection, as some tests intend.
            return;
        } finally {
            connections.remove(socket);
        }
    }

    private static Request request(HttpRequest head, DefaultBHttpServerConnection connection) throws IOException, HttpException {
        String body = "";
        if (head instanceof HttpEntityEnclosingRequest request) {
            connection.receiveRequestEntity(request);
            body = EntityUtils.toString(request.getEntity(), StandardCharsets.UTF_8);
        }
        URI uri = URI.create(head.getRequestLine().getUri());
        Map<String, String> query = new HashMap<>();
        URLEncodedUtils.parse(uri, StandardCharsets.UTF_8).forEach(parameter -> query.put(parameter.getName(), parameter.getValue()));
        Map<String, String> headers = new HashMap<>();
        for (Header header : head.getAllHeaders()) {
            headers.put(header.getName().toLowerCase(Locale.ROOT), header.getValue());
        }
        return new Request(head.getRequestLine().getMethod(), uri.getRawPath(), query, headers, body);
    }

    /** Answers a request, or fails as told. Returns whether the connection stays open. */
    private boolean serve(Request request, long start, Socket socket) throws IOException, InterruptedException {
        Fault fault = faults.next(request).orElse(Fault.NONE);
        Answer answer = answer(request, fault);
        Optional<CountDownLatch> hold = holds.next(request);
        if (hold.isPresent()) {
            hold(start, request, hold.get());
        }
        Thread.sleep(latency.toMillis());
        switch (fault.kind()) {
            case NONE, ANSWER -> {
                send(answer, answer.body(), start, request, socket);
                return !"close".equalsIgnoreCase(request.headers().get("connection"));
            }
            case CUT, STALL, DRIP -> {
                String half = answer.body().substring(0, answer.body().length() / 2);
                send(answer, half, start, request, socket);
                if (fault.kind() == Fault.Kind.DRIP) {
                    drip(answer.body().substring(half.length()), socket.getOutputStream());
                }
            }
            default -> record(start, request, 0, "");
        }
        switch (fault.kind()) {
            // Closing a socket with a linger time of 0 resets the connection.
            case RESET -> socket.setSoLinger(true, 0);
            case RESTART -> restart();
            // Blocks until the client closes the connection.
            case STALL, HANG -> socket.getInputStream().read();
            case INTERIM -> {
                while (!isClosed) {
                    socket.getOutputStream().write("HTTP/1.1 100 Continue\r\n\r\n".getBytes(StandardCharsets.UTF_8));
                }
            }
            default -> { }
        }
        return false;
    }

    private Answer answer(Request request, Fault fault) {
        try {
            hooks.next(request).ifPresent(Runnable::run);
            Answer answer = fault.acts() ? answer(request) : null;
            return fault.kind() == Fault.Kind.ANSWER ? new Answer(fault.status(), fault.body(), fault.headers()) : answer;
        } catch (RuntimeException e) {
            // A bug of the sandbox must not look like a fault of the network.
            StringWriter trace = new StringWriter();
            e.printStackTrace(new PrintWriter(trace));
            return new Answer(500, "The sandbox failed: " + trace, Map.of("Content-Type", "text/plain"));
        }
    }

    /** Sends an answer, or as much of its body as is given. */
    private void send(Answer answer, String body, long start, Request request, Socket socket) throws IOException {
        StringBuilder head = new StringBuilder("HTTP/1.1 " + answer.status() + " Status\r\n");
        Map<String, String> headers = new HashMap<>(answer.headers());
        headers.putIfAbsent("Date", DateTimeFormatter.RFC_1123_DATE_TIME.format(now().atOffset(ZoneOffset.UTC)));
        if (answer.status() != 204) {
            headers.put("Content-Length", "" + answer.body().getBytes(StandardCharsets.UTF_8).length);
        }
        headers.forEach((name, value) -> head.append(name).append(": ").append(value).append("\r\n"));
        record(start, request, answer.status(), body);
        // In one write, so that a client never sees the head without the body.
        socket.getOutputStream().write((head + "\r\n" + body).getBytes(StandardCharsets.UTF_8));
    }

    private static void drip(String text, OutputStream out) throws IOException, InterruptedException {
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            out.write(b);
            Thread.sleep(100);
        }
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

    private void hold(long start, Request request, CountDownLatch hold) throws InterruptedException {
        Exchange held = record(start, request, 0, "");
        hold.countDown();
        if (!hold.await(PATIENCE.toSeconds(), TimeUnit.SECONDS) && !isClosed) {
            throw new IllegalStateException("the other requests to hold did not arrive in " + PATIENCE + ": " + held);
        }
        synchronized (exchanges) {
            exchanges.removeIf(exchange -> exchange == held);
        }
    }

    private static Thread startThread(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }
}
