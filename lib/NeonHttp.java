import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.UnknownHostException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/**
 * Sends requests to Neon's API: paces them, repeats them where that can help, and turns every failure into a sentence.
 *
 * <p>The API key goes to the one host it was given for and nowhere else: redirects are not followed. Nothing of an answer is shown but its
 * status, code, request id, and message, and that with every secret taken out.
 */
final class NeonHttp {

    static final ObjectMapper JSON = new ObjectMapper();

    /** A failure that Neon reported, or a request that got no answer (status 0). */
    static final class NeonException extends Failure {

        final int status;
        private final String neonMessage;
        private final Duration retryAfter;

        private NeonException(String sentence, int status, String neonMessage, Duration retryAfter, Throwable cause) {
            super(sentence, cause);
            this.status = status;
            this.neonMessage = neonMessage;
            this.retryAfter = retryAfter;
        }

        /** Tells whether Neon may have acted all the same: the answer was lost, or made by something between Neon and here. */
        boolean isOutcomeUnknown() {
            return status == 0 || status == 408 || status >= 500 && status != 503;
        }

        /**
         * Tells whether Neon refused for now, having changed nothing: 423 (the project is locked by running operations), 429 (too many
         * requests) and 503 are safe to repeat whatever the method. That a branch is not ready yet has no code of its own.
         */
        private boolean isTemporary() {
            return status == 423 || status == 429 || status == 503 || isNotReady(status, neonMessage);
        }
    }

    /** An answer that was received whole. */
    private record Answer(int status, byte[] body, String retryAfter) {
    }

    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration READ_TIMEOUT = Duration.ofSeconds(30);

    /** How often a request that gets no answer is made; with growing pauses that outlasts a short outage. */
    private static final int TRIES_WITHOUT_ANSWER = 6;
    private static final long FIRST_PAUSE_MILLIS = 250;
    private static final long LONGEST_PAUSE_MILLIS = 10_000;

    /** Neon allows 40 requests a second on a route and 700 a minute for an account; other builds need some of those. */
    private static final int REQUESTS_A_SECOND = 30;
    private static final int REQUESTS_A_MINUTE = 600;

    /**
     * Connection strings, percent-encoded ones too, and all that follows one, for who knows where it ends; a password before its host;
     * and what Neon's passwords and API keys begin with, whatever stands before it.
     */
    private static final Pattern SECRET_SHAPED =
            Pattern.compile("(?is)postgres(ql)?(:|%3A).*|[^\\s:@]+:[^\\s@]+@\\S+|(npg|napi)_\\w+");

    private static final Duration BETWEEN_WAIT_LINES = Duration.ofSeconds(3);
    private static final int LONGEST_MESSAGE = 300;

    private final String host;
    private final Secret key;
    private final String keySource;
    private final Instant deadline;
    private final Consumer<String> say;
    private final Consumer<String> verbose;
    private final long[] requestNanos = new long[REQUESTS_A_MINUTE];
    private int requests;
    private Instant lastWaitLine = Instant.EPOCH;

    /**
     * Opens nothing yet.
     *
     * @param host the API's address without a slash at its end
     * @param keySource where the key came from, in words, for the advice when Neon refuses it
     * @param deadline when to give up waiting and trying again
     * @param say takes a line that says what is being waited for
     * @param verbose takes one line per request
     * @throws Failure if the key cannot be one
     */
    NeonHttp(URI host, Secret key, String keySource, Instant deadline, Consumer<String> say, Consumer<String> verbose) {
        // A header cannot hold other characters, and Java's complaint would show the key.
        if (!key.value().matches("[\\x21-\\x7e]+")) {
            throw new Failure("The value of " + keySource
                    + " is no Neon API key: it is empty, or has a space or a line break in it; store the key alone.");
        }
        this.host = host.toString();
        this.key = key;
        this.keySource = keySource;
        this.deadline = deadline;
        this.say = say;
        this.verbose = verbose;
    }

    /**
     * Sends a request that makes something and must not be repeated blindly: when it is refused, or its answer is lost, looks first
     * whether the thing is there.
     *
     * @return the answer; nothing when the thing is there and the answer is not
     */
    Optional<JsonNode> create(String path, JsonNode body, String what, BooleanSupplier isThere) {
        for (int attempt = 0; ; attempt++) {
            try {
                return Optional.of(send("POST", path, "", body, false, what));
            } catch (NeonException e) {
                boolean isTaken = e.status == 409 || e.status == 422;
                if (!isTaken && !e.isOutcomeUnknown()) {
                    throw e;
                }
                if (!isTaken) {
                    pauseBeforeNext(attempt, e);
                }
                if (isThere.getAsBoolean()) {
                    return Optional.empty();
                }
                if (isTaken) {
                    throw e;
                }
            }
        }
    }

    /**
     * Sends a request, and again as long as that can help.
     *
     * @param query begins with a question mark, or is empty; never logged
     * @param isRepeatable whether the request may be made twice when it is not known if the first was acted on
     * @param what what it does, in words that follow "could not"
     * @return the answer's body; of a body that nobody needs, possibly nothing
     */
    JsonNode send(String method, String path, String query, JsonNode body, boolean isRepeatable, String what) {
        for (int attempt = 0; ; attempt++) {
            try {
                return sendOnce(method, path, query, body, what);
            } catch (NeonException e) {
                if (!e.isTemporary() && !(isRepeatable && e.isOutcomeUnknown())) {
                    throw e;
                }
                pauseBeforeNext(attempt, e);
            }
        }
    }

    private JsonNode sendOnce(String method, String path, String query, JsonNode body, String what) {
        pace();
        String requestId = new UUID(ThreadLocalRandom.current().nextLong(), ThreadLocalRandom.current().nextLong()).toString();
        byte[] bytes = body == null ? null : body.toString().getBytes(StandardCharsets.UTF_8);
        long start = System.nanoTime();
        Answer answer;
        try {
            answer = method.equals("PATCH") ? patch(path, bytes, requestId) : exchange(method, path + query, bytes, requestId);
        } catch (IOException e) {
            log(method, path, "no answer", start, requestId);
            throw new NeonException("Could not " + what + ": no answer from " + host + " (" + reason(e)
                    + "); run again later.", 0, "", null, e);
        }
        log(method, path, String.valueOf(answer.status()), start, requestId);
        JsonNode json = parse(answer.body());
        if (answer.status() / 100 != 2) {
            throw refusal(answer, json, requestId, what);
        }
        // Only the answer for a branch that was gone already has no body.
        if (json == null && !(answer.status() == 204 && method.equals("DELETE"))) {
            throw new NeonException("Could not " + what + ": " + host + " answered with something that is not Neon's (request "
                    + requestId + "); check --api-host and any proxy, or run again later.", 0, "", null, null);
        }
        return json;
    }

    private Answer exchange(String method, String pathAndQuery, byte[] body, String requestId) throws IOException {
        // Of the JDK's two clients this one has been loaded by the AWS SDK already, and does not hold up the exit of Java 17.
        HttpURLConnection connection = (HttpURLConnection) URI.create(host + pathAndQuery).toURL().openConnection();
        connection.setRequestMethod(method);
        connection.setInstanceFollowRedirects(false);
        connection.setUseCaches(false);
        connection.setConnectTimeout((int) timeout(CONNECT_TIMEOUT).toMillis());
        connection.setReadTimeout((int) timeout(READ_TIMEOUT).toMillis());
        headers(requestId).forEach(connection::setRequestProperty);
        if (body != null) {
            connection.setDoOutput(true);
            connection.setRequestProperty("Content-Type", "application/json");
            // With a length set beforehand the JDK does not silently send a lost POST again.
            connection.setFixedLengthStreamingMode(body.length);
            try (OutputStream out = connection.getOutputStream()) {
                out.write(body);
            }
        }
        int status = connection.getResponseCode();
        if (status < 0) {
            throw new IOException("not HTTP");
        }
        InputStream in = status < 400 ? connection.getInputStream() : connection.getErrorStream();
        byte[] bytes = in == null ? new byte[0] : readWhole(in, connection.getContentLengthLong());
        return new Answer(status, bytes, connection.getHeaderField("Retry-After"));
    }

    /** HttpURLConnection knows no PATCH. */
    private Answer patch(String path, byte[] body, String requestId) throws IOException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(host + path))
                .header("Content-Type", "application/json")
                .method("PATCH", HttpRequest.BodyPublishers.ofByteArray(body));
        headers(requestId).forEach(request::header);
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(timeout(CONNECT_TIMEOUT)).build();
        CompletableFuture<HttpResponse<byte[]>> exchange = client.sendAsync(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        try {
            // A timeout of the request's own would end with the answer's headers, and a body may never come.
            HttpResponse<byte[]> response = exchange.get(timeout(READ_TIMEOUT).toMillis(), TimeUnit.MILLISECONDS);
            return new Answer(response.statusCode(), response.body(), response.headers().firstValue("Retry-After").orElse(null));
        } catch (InterruptedException e) {
            throw interrupted();
        } catch (TimeoutException e) {
            exchange.cancel(true);
            throw new HttpTimeoutException("timed out");
        } catch (ExecutionException e) {
            throw e.getCause() instanceof IOException lost ? lost : new IOException("no connection", e.getCause());
        }
    }

    private Map<String, String> headers(String requestId) {
        return Map.of("Authorization", "Bearer " + key.value(), "Accept", "application/json", "User-Agent", "neon-ci",
                "X-Request-ID", requestId);
    }

    /** A timeout that leaves time to try again before the deadline, but is not so short that nothing could be read. */
    private Duration timeout(Duration usual) {
        Duration half = Duration.between(Instant.now(), deadline).dividedBy(2);
        return half.compareTo(usual) > 0 ? usual : half.toMillis() > 1000 ? half : Duration.ofSeconds(1);
    }

    /** Reads to the end. The JDK takes an end that comes too early for the end. */
    private byte[] readWhole(InputStream in, long contentLength) throws IOException {
        try (in) {
            ByteArrayOutputStream whole = new ByteArrayOutputStream();
            byte[] buffer = new byte[8192];
            for (int count; (count = in.read(buffer)) >= 0; ) {
                whole.write(buffer, 0, count);
                if (Instant.now().isAfter(deadline.plusSeconds(1))) {
                    throw new IOException("the answer takes too long");
                }
            }
            if (contentLength > whole.size()) {
                throw new IOException("the answer was cut off");
            }
            return whole.toByteArray();
        }
    }

    private NeonException refusal(Answer answer, JsonNode json, String requestId, String what) {
        JsonNode error = json == null ? JSON.createObjectNode() : json;
        String code = clean(error.path("code").asText(""));
        String message = clean(error.path("message").asText(""));
        String id = clean(error.path("request_id").asText(requestId));
        String advice = switch (answer.status()) {
            case 401 -> "check the API key in " + keySource;
            case 403 -> "use an API key that may do this, in " + keySource;
            case 404 -> "check --neon-project-id, and that the API key in " + keySource + " is for this project";
            case 423 -> "Neon is at work on this project; run again later, or give it longer with --wait";
            case 301, 302, 303, 307, 308 -> "check --api-host and any proxy: no redirect is followed with an API key";
            default -> isNotReady(answer.status(), message) ? "run again later, or give it longer with --wait"
                    : code.contains("LIMIT_EXCEEDED") ? "delete branches, with cleanup-branches for one, or raise the plan's limit"
                    : answer.status() >= 500 || answer.status() == 429 ? "run again later"
                    : "change what was asked for, or ask Neon's support about the request";
        };
        return new NeonException("Could not " + what + ": Neon answered " + answer.status()
                + (code.isEmpty() ? "" : " " + code) + (message.isEmpty() ? "" : ", " + message)
                + " (request " + id + "); " + advice + ".", answer.status(), message, retryAfter(answer.retryAfter()), null);
    }

    /** Keeps a text from elsewhere to one line of moderate length without anything that is, or looks like, a secret. */
    String clean(String text) {
        String line = text.replace(key.value(), "***").replace(URLEncoder.encode(key.value(), StandardCharsets.UTF_8), "***");
        line = SECRET_SHAPED.matcher(line).replaceAll("***").replaceAll("[\\s\\p{Cntrl}]+", " ").strip();
        line = line.endsWith(".") ? line.substring(0, line.length() - 1) : line;
        return line.length() > LONGEST_MESSAGE ? line.substring(0, LONGEST_MESSAGE) + "..." : line;
    }

    private static String reason(IOException e) {
        return e instanceof UnknownHostException ? "unknown host"
                : e instanceof SocketTimeoutException || e instanceof HttpTimeoutException ? "timed out"
                : e.getMessage() == null ? "no connection" : e.getMessage();
    }

    /** Reads a Retry-After header, which counts seconds or names a date; null when there is none that makes sense. */
    private static Duration retryAfter(String header) {
        if (header == null) {
            return null;
        }
        try {
            return header.strip().matches("\\d{1,6}") ? Duration.ofSeconds(Long.parseLong(header.strip()))
                    : Duration.between(Instant.now(), ZonedDateTime.parse(header.strip(), DateTimeFormatter.RFC_1123_DATE_TIME));
        } catch (DateTimeParseException e) {
            return null;
        }
    }

    /**
     * Pauses before a request is made again: a random time, so that builds that collided do not do so again, after the time that Neon
     * asks for.
     *
     * @throws NeonException the failure, when the next try would be one too many or too late
     */
    private void pauseBeforeNext(int attempt, NeonException failure) {
        long longest = Math.min(FIRST_PAUSE_MILLIS << Math.min(attempt, 10), LONGEST_PAUSE_MILLIS);
        Duration pause = Duration.ofMillis(ThreadLocalRandom.current().nextLong(1, longest + 1));
        if (failure.retryAfter != null && !failure.retryAfter.isNegative()) {
            pause = pause.plus(failure.retryAfter);
        }
        if (failure.isOutcomeUnknown() && attempt + 1 >= TRIES_WITHOUT_ANSWER || !hasTimeFor(pause)) {
            throw failure;
        }
        String why = switch (failure.status) {
            case 0 -> "Neon did not answer";
            case 422, 423 -> "Neon is at work on this project (" + failure.status + ")";
            case 429 -> "Neon has had too many requests (429)";
            default -> "Neon is not available (" + failure.status + ")";
        };
        sayWaiting(String.format(Locale.ROOT, "%s; trying again in %.1f s.", why, pause.toMillis() / 1000.0));
        sleep(pause);
    }

    /** Tells whether the run's time lasts for a pause, and so for one more try. */
    boolean hasTimeFor(Duration pause) {
        return !Instant.now().plus(pause).isAfter(deadline);
    }

    /** Says what is waited for, at once and then every few seconds, however many requests wait. */
    synchronized void sayWaiting(String line) {
        if (Instant.now().isAfter(lastWaitLine.plus(BETWEEN_WAIT_LINES))) {
            lastWaitLine = Instant.now();
            say.accept(line);
        }
    }

    /** Keeps below Neon's limits: each request takes the next place in a timetable, and waits for its time. */
    private void pace() {
        long due = System.nanoTime();
        synchronized (requestNanos) {
            if (requests >= REQUESTS_A_SECOND) {
                due = Math.max(due, requestNanos[(requests - REQUESTS_A_SECOND) % REQUESTS_A_MINUTE] + 1_000_000_000L);
            }
            if (requests >= REQUESTS_A_MINUTE) {
                due = Math.max(due, requestNanos[requests % REQUESTS_A_MINUTE] + 60_000_000_000L);
            }
            requestNanos[requests++ % REQUESTS_A_MINUTE] = due;
        }
        sleep(Duration.ofNanos(due - System.nanoTime()));
    }

    static void sleep(Duration duration) {
        try {
            Thread.sleep(Math.max(0, duration.toMillis()));
        } catch (InterruptedException e) {
            throw interrupted();
        }
    }

    private static Failure interrupted() {
        Thread.currentThread().interrupt();
        return new Failure("Interrupted; run again, which goes on where this run stopped.");
    }

    private void log(String method, String path, String outcome, long startNanos, String requestId) {
        verbose.accept(method + " " + path + " " + outcome + " " + (System.nanoTime() - startNanos) / 1_000_000 + " ms " + requestId);
    }

    private static boolean isNotReady(int status, String message) {
        return status == 422 && message.toLowerCase(Locale.ROOT).contains("not ready");
    }

    private static JsonNode parse(byte[] body) {
        try {
            JsonNode json = JSON.readTree(body);
            return json != null && json.isObject() ? json : null;
        } catch (IOException e) {
            return null;
        }
    }
}
