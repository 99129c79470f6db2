import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import javax.net.ssl.SSLSocketFactory;
import software.amazon.awssdk.http.ContentStreamProvider;
import software.amazon.awssdk.http.ExecutableHttpRequest;
import software.amazon.awssdk.http.HttpExecuteRequest;
import software.amazon.awssdk.http.HttpExecuteResponse;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.http.SdkHttpMethod;
import software.amazon.awssdk.http.SdkHttpRequest;
import software.amazon.awssdk.http.SdkHttpResponse;

/**
 * How requests are sent to Neon: within the time of the run, through the user's proxy, at a pace that Neon takes, and again where that
 * can help. What they are for is the matter of whoever sends them.
 *
 * <p>The API key goes to the one host it was given for and nowhere else: redirects are not followed.
 */
final class Http {

    static final ObjectMapper JSON = new ObjectMapper();

    /** The status of an answer that never came, or makes no sense; whether Neon has acted is then not known. */
    static final int NONE = 0;

    /**
     * An answer, or the lack of one.
     *
     * @param status or {@link #NONE}
     * @param body a JSON object, or missing
     * @param requestId what Neon's support can find the request by
     * @param retryAfter the pause that Neon asks for
     * @param reason why there is no answer, in words; else empty
     */
    record Answer(int status, JsonNode body, String requestId, Duration retryAfter, String reason) {

        static Answer none(String reason, String requestId) {
            return new Answer(NONE, MissingNode.getInstance(), requestId, Duration.ZERO, reason);
        }

        boolean isSuccess() {
            return status / 100 == 2;
        }

        /** Tells whether Neon may have acted all the same: the answer was lost, or made by something between Neon and here. */
        boolean isOutcomeUnknown() {
            return status == NONE || status == 408 || status >= 500 && status != 503;
        }

        /**
         * Tells whether Neon refused for now, having changed nothing: 423 (the project is locked by running operations), 429 (too many
         * requests) and 503 are safe to repeat whatever the method. That a branch is not ready yet has no code of its own.
         */
        boolean isTemporary() {
            return status == 423 || status == 429 || status == 503
                    || status == 422 && body.path("message").asText("").toLowerCase(Locale.ROOT).contains("not ready");
        }
    }

    private static final Duration LONGEST_EXCHANGE = Duration.ofSeconds(30);

    /** How often a request that gets no answer is made; with growing pauses that outlasts a short outage. */
    static final int TRIES_WITHOUT_ANSWER = 6;
    private static final long FIRST_PAUSE_MILLIS = 250;
    private static final long LONGEST_PAUSE_MILLIS = 10_000;

    /** Neon allows 40 requests a second on a route and 700 a minute for an account; other builds need some of those. */
    private static final int REQUESTS_A_SECOND = 30;
    private static final int REQUESTS_A_MINUTE = 600;

    private static final String KEEPING_BELOW = "Keeping below Neon's limits; going on";

    private static final Duration SECOND = Duration.ofSeconds(1);
    private static final Duration MINUTE = Duration.ofMinutes(1);

    private final String host;
    private final Secret key;
    private final SdkHttpClient client;
    private final Deadline deadline;
    private final Consumer<String> say;
    private final Consumer<String> verbose;

    /** When each request was sent, or is to be. */
    private final List<Long> timetable = new ArrayList<>();

    /** Until when it has been said that a wait goes on, by what is waited for. */
    private final Map<String, Long> saidUntil = new HashMap<>();

    /**
     * Opens nothing yet.
     *
     * @param host the API's address without a slash at its end
     * @param deadline when to give up waiting and trying again
     * @param say takes a line that says what is being waited for
     * @param verbose takes one line per request
     */
    Http(URI host, Secret key, Deadline deadline, Consumer<String> say, Consumer<String> verbose) {
        this.host = host.toString();
        this.key = key;
        this.client = Network.client(deadline, LONGEST_EXCHANGE);
        this.deadline = deadline;
        this.say = say;
        this.verbose = verbose;
    }

    /** Loads, without sending anything, what a first request needs, so that it can be loaded while there is something to wait for. */
    static Object warmUp(URI host) {
        parse(new byte[0]);
        // What is wrong with the user's certificates, a request will say.
        return host.getScheme().equals("https") ? SSLSocketFactory.getDefault() : null;
    }

    /**
     * Sends a request, and again as long as that can help.
     *
     * @param path with its query, which is not logged
     * @param body null for none
     * @param isDone null for a request that may be acted on twice; else tells, when an answer was lost, whether it was acted on
     * @return the last answer; null when {@code isDone} has told that the request need not be sent again
     */
    Answer send(String method, String path, JsonNode body, BooleanSupplier isDone) {
        for (int attempt = 0; ; attempt++) {
            if (!pace()) {
                return Answer.none(Deadline.OVER, "");
            }
            Answer answer = sendOnce(method, path, body);
            boolean canHelp = answer.isTemporary()
                    || answer.isOutcomeUnknown() && !Network.isHopeless(answer.reason()) && attempt + 1 < TRIES_WITHOUT_ANSWER;
            if (!canHelp || !pauseBeforeNext(attempt, answer)) {
                return answer;
            }
            if (isDone != null && answer.isOutcomeUnknown() && isDone.getAsBoolean()) {
                return null;
            }
        }
    }

    /** Sends a request once, for a caller who has to look about him before it is sent again; not at all when it is too late to begin. */
    Answer sendInTime(String method, String path, JsonNode body) {
        return !pace() || deadline.isTooLate() ? Answer.none(Deadline.OVER, "") : sendOnce(method, path, body);
    }

    private Answer sendOnce(String method, String path, JsonNode body) {
        String requestId = new UUID(ThreadLocalRandom.current().nextLong(), ThreadLocalRandom.current().nextLong()).toString();
        SdkHttpRequest.Builder request = SdkHttpRequest.builder().method(SdkHttpMethod.fromValue(method)).uri(URI.create(host + path))
                .putHeader("Authorization", "Bearer " + key.value()).putHeader("Accept", "application/json")
                .putHeader("User-Agent", "neon-ci").putHeader("X-Request-ID", requestId);
        HttpExecuteRequest.Builder execution = HttpExecuteRequest.builder();
        if (!method.equals("GET")) {
            byte[] bytes = body == null ? new byte[0] : body.toString().getBytes(StandardCharsets.UTF_8);
            // With a length set beforehand, be it none, the JDK does not silently send what was lost again. It would call no body a form.
            request.putHeader("Content-Type", "application/json").putHeader("Content-Length", String.valueOf(bytes.length));
            execution.contentStreamProvider(ContentStreamProvider.fromByteArray(bytes));
        }
        long start = System.nanoTime();
        Answer answer = exchange(execution.request(request.build()).build(), requestId);
        verbose.accept(method + " " + path.replaceFirst("\\?.*", "")
                + (answer.status() == NONE ? " no answer (" + answer.reason() + ") " : " " + answer.status() + " ")
                + Duration.ofNanos(System.nanoTime() - start).toMillis() + " ms " + requestId);
        return answer;
    }

    private Answer exchange(HttpExecuteRequest request, String requestId) {
        SdkHttpMethod method = request.httpRequest().method();
        SdkHttpClient able = method == SdkHttpMethod.PATCH ? Network.patching(request.httpRequest().protocol()) : client;
        ExecutableHttpRequest exchange = able.prepareRequest(request);
        // The limit of a connection is for each read of it, and an answer may come byte by byte.
        CompletableFuture<Void> limit = new CompletableFuture<Void>()
                .completeOnTimeout(null, deadline.limit(LONGEST_EXCHANGE).toMillis(), TimeUnit.MILLISECONDS);
        limit.thenRunAsync(exchange::abort);
        try {
            HttpExecuteResponse response = exchange.call();
            SdkHttpResponse head = response.httpResponse();
            byte[] bytes = response.responseBody().isPresent() ? response.responseBody().get().readAllBytes() : null;
            // The JDK takes an end that comes too early for the end, and of a POST or DELETE that was answered 401 it shows no body at all.
            if (bytes != null && bytes.length < head.firstMatchingHeader("Content-Length").map(Long::parseLong).orElse(0L)) {
                throw new IOException("the answer was cut off");
            }
            JsonNode body = parse(bytes == null ? new byte[0] : bytes);
            // Only the answer for a branch that was gone already has no body.
            boolean isNeons = body.isObject() || !head.isSuccessful() || head.statusCode() == 204 && method == SdkHttpMethod.DELETE;
            return !isNeons ? Answer.none(Network.ANOTHERS, requestId) : new Answer(head.statusCode(), body,
                    body.path("request_id").asText(requestId), retryAfter(head.firstMatchingHeader("Retry-After").orElse("")), "");
        } catch (IOException | UncheckedIOException | StackOverflowError e) {
            return Answer.none(limit.isDone() ? "timed out" : Network.reason(e, request.httpRequest().getUri()), requestId);
        } finally {
            limit.cancel(false);
        }
    }

    /** Reads a Retry-After header, which counts seconds or names a date; no time when there is none that makes sense. */
    private static Duration retryAfter(String header) {
        try {
            Duration pause = header.strip().matches("\\d{1,6}") ? Duration.ofSeconds(Long.parseLong(header.strip()))
                    : Duration.between(Instant.now(), ZonedDateTime.parse(header.strip(), DateTimeFormatter.RFC_1123_DATE_TIME));
            return pause.isNegative() ? Duration.ZERO : pause;
        } catch (DateTimeParseException e) {
            return Duration.ZERO;
        }
    }

    /**
     * Pauses before a request is made again: a random time, so that builds that collided do not do so again, after the time that Neon
     * asks for. Returns false, without a pause, when the next try would be too late.
     */
    boolean pauseBeforeNext(int attempt, Answer answer) {
        long longest = Math.min(FIRST_PAUSE_MILLIS << Math.min(attempt, 10), LONGEST_PAUSE_MILLIS);
        // With luck random pauses could all be over in no time, and an outage would not.
        long least = answer.isOutcomeUnknown() ? longest / 2 : 1;
        long pause = ThreadLocalRandom.current().nextLong(least, longest + 1);
        return pause(answer.retryAfter().plusMillis(pause), switch (answer.status()) {
            case NONE -> "Neon did not answer (" + answer.reason() + "); trying again";
            case 422, 423 -> "Neon is at work on this project (" + answer.status() + "); trying again";
            case 429 -> "Neon has had too many requests (429); trying again";
            default -> "Neon is not available (" + answer.status() + "); trying again";
        });
    }

    /** Waits until Neon's limits leave room for this many requests; returns false, without a wait, when the time does not last for it. */
    boolean awaitRoom(int more) {
        return pause(untilRoom(more, REQUESTS_A_MINUTE, MINUTE), KEEPING_BELOW);
    }

    /**
     * Keeps below Neon's limits: each request takes the next place in a timetable, and waits for its time. Returns false when that is after
     * the end of the run. What comes right after a wait may come a moment later: it tells what was waited for.
     */
    private boolean pace() {
        Duration pause;
        synchronized (timetable) {
            Duration second = untilRoom(1, REQUESTS_A_SECOND, SECOND);
            Duration minute = untilRoom(1, REQUESTS_A_MINUTE, MINUTE);
            pause = second.compareTo(minute) > 0 ? second : minute;
            timetable.add(System.nanoTime() + pause.toNanos());
        }
        return pause.isZero() ? !deadline.left().plus(SECOND).isNegative() : pause(pause, KEEPING_BELOW);
    }

    /** Returns how long it takes until so many requests more are within this limit of so many in such a time. */
    private Duration untilRoom(int more, int limit, Duration time) {
        synchronized (timetable) {
            int first = timetable.size() + more - 1 - limit;
            return first < 0 ? Duration.ZERO : Duration.ofNanos(Math.max(0, timetable.get(first) + time.toNanos() - System.nanoTime()));
        }
    }

    /**
     * Says what for and pauses; returns false, without either, when the time of the run does not last for it. However many requests wait at
     * the same time for the same thing, only a wait that goes on for over a second longer than was said is worth a line.
     */
    private boolean pause(Duration pause, String what) {
        synchronized (saidUntil) {
            long now = System.nanoTime();
            long end = now + pause.toNanos();
            if (deadline.lasts(pause) && end - saidUntil.getOrDefault(what, now) > SECOND.toNanos()) {
                saidUntil.put(what, end);
                say.accept(String.format(Locale.ROOT, "%s in %.1f s.", what, pause.toMillis() / 1000.0));
            }
        }
        return pause(pause);
    }

    /** Pauses; returns false, without a pause, when the time of the run does not last for it. */
    boolean pause(Duration pause) {
        if (!deadline.lasts(pause)) {
            return false;
        }
        try {
            Thread.sleep(pause.toMillis());
            return true;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw Failure.interrupted(e);
        }
    }

    private static JsonNode parse(byte[] body) {
        try {
            return JSON.readTree(body);
        } catch (IOException e) {
            return MissingNode.getInstance();
        }
    }
}
