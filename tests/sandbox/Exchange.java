import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/**
 * One request that the sandbox saw and the answer it gave.
 *
 * @param start {@link System#nanoTime} when the request line was read
 * @param end {@link System#nanoTime} just before the answer's first byte was sent, or when the connection was broken off
 * @param method the request's method, such as {@code GET}
 * @param path the request's path, as it was sent: percent-encoded and without the query
 * @param query the query's parameters, decoded
 * @param requestHeaders the request's headers, names in lower case
 * @param requestBody the request's body, empty if it had none
 * @param status the answer's status, or 0 if the client got none
 * @param responseBody the answer's body as it was sent: cut short where a fault cut it, empty if none was sent
 */
record Exchange(
        long start,
        long end,
        String method,
        String path,
        Map<String, String> query,
        Map<String, String> requestHeaders,
        String requestBody,
        int status,
        String responseBody) {

    /**
     * Returns the longest chain of exchanges in which each began after the one before it had ended, by number of exchanges. A client waits
     * for that many round trips at least, however much it asks at the same time.
     */
    static List<Exchange> longestChain(List<Exchange> exchanges) {
        // Taking whichever ends first leaves the most room for the rest.
        List<Exchange> chain = new ArrayList<>();
        for (Exchange exchange : exchanges.stream().sorted(Comparator.comparingLong(Exchange::end)).toList()) {
            if (chain.isEmpty() || exchange.start() > chain.get(chain.size() - 1).end()) {
                chain.add(exchange);
            }
        }
        return List.copyOf(chain);
    }

    /** Shows the request line and the status alone: headers, bodies and query values hold secrets. */
    @Override
    public String toString() {
        return method + " " + path + " " + status;
    }
}
