/** Whether there is time for counts that find rare trouble: `npm run full`, `npm run soak`. */
export const isLong = process.env['REDSTART_LONG'] === '1';
