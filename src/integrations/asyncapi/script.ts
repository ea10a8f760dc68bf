/** Runs in the page. What comes from outside is put there as text. */
export const SCRIPT = `(async () => {
  const at = (id) => document.getElementById(id);
  const here = location.pathname;
  const operation = at('operation');
  if (operation) {
    const fill = () => {
      const { address, body } = operation.selectedOptions[0].dataset;
      at('address').value = address;
      at('body').value = body;
      at('answer').textContent = '';
    };
    operation.addEventListener('change', fill);
    fill();
    operation.form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const answer = at('answer');
      let body;
      try {
        body = at('body').value.trim() === '' ? undefined : JSON.parse(at('body').value);
      } catch (error) {
        answer.textContent = 'The body is not JSON: ' + error.message;
        return;
      }
      at('send').disabled = true;
      answer.textContent = 'sending …';
      try {
        const response = await fetch(here, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ operation: operation.value, address: at('address').value, body }),
        });
        const text = await response.text();
        answer.textContent = response.ok ? JSON.stringify(JSON.parse(text), null, 2) : text;
      } catch (error) {
        answer.textContent = 'It could not be sent: ' + error.message;
      }
      at('send').disabled = false;
    });
  }
  if (typeof AsyncApiStandalone === 'undefined') return;
  const schema = await (await fetch(here + '?get=document')).json();
  const config = { show: { errors: true }, expand: { messageExamples: false } };
  AsyncApiStandalone.render({ schema, config }, at('asyncapi'));
  const shown = new MutationObserver(() => {
    if (!at('asyncapi').innerText.trim()) return;
    shown.disconnect();
    at('plain').remove();
  });
  shown.observe(at('asyncapi'), { childList: true, subtree: true });
})();
`;
